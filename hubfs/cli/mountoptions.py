"""What `-o` says to mount(8), as settings. Pure.

A name is written with dashes or underscores, a flag without a value, a value
that holds a comma in double quotes. What every file system is told, and what is
for mount(8), systemd and fstab alone, means nothing here: the tree is read-only,
without devices, and nothing in it can be executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from hubfs.config.declaring import Setting
from hubfs.config.kinds import FLAG
from hubfs.config.table import SETTINGS, nearest
from hubfs.errors import UsageError

_PART = re.compile(r'(?:"[^"]*"|[^,"])+')
_NOTHING = re.compile(
    r"defaults|default_permissions|(no)?auto|nofail|_netdev|(no)?users?|owner|group|r[ow]"
    r"|(no)?(suid|dev|exec|mand|iversion|lazytime|(dir|rel|strict)?atime)|(a|dir)?sync"
    r"|silent|loud|(x-|X-|comment=|u?helper=).*"
)
_NAMES: Final = {
    spelling.removeprefix("--").replace("-", "_"): setting
    for setting in SETTINGS.values()
    for spelling in (setting.option, *setting.spellings)
}

Given = dict[str, str | bool | None]


def parse(texts: Iterable[str], *, sloppy: bool = False) -> Given:
    """What the options say, by the names of settings; `sloppy` passes over what is not known.

    Raises:
        UsageError: there is no such option, or it may not be given so.
    """
    found: Given = {}
    for part in _parts(texts):
        name, equals, value = part.partition("=")
        name = name.replace("-", "_")
        setting, flag = _find(name)
        if setting is not None:
            found[setting.name] = _value(setting, value, has_value=bool(equals), flag=flag)
        elif name == "remount":
            hint = "change the configuration and send its daemon SIGHUP, or unmount it first"
            raise UsageError("a mount of hubfs cannot be remounted", hint=hint)
        elif not sloppy:
            hint = nearest(name, _NAMES) or "hubfs mount --help lists them"
            raise UsageError(f"-o {name}: there is no such option", hint=hint)
    return found


def _parts(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for part in _PART.findall(text):
            stripped = part.strip()
            if stripped and not _NOTHING.fullmatch(stripped):
                yield stripped


def _find(name: str) -> tuple[Setting[object] | None, bool]:
    """The setting of that name, and what it is as a flag: `no_NAME` and `noNAME` deny it."""
    if name in _NAMES:
        return _NAMES[name], True
    denied = _NAMES.get(name.removeprefix("no").removeprefix("_")) if name[:2] == "no" else None
    return (denied, False) if denied is not None and denied.kind is FLAG else (None, True)


def _value(setting: Setting[object], value: str, *, has_value: bool, flag: bool) -> str | bool:
    if setting.is_secret:
        hint = f"set {setting.name} in a configuration file, or {setting.variable}"
        raise UsageError(f"-o {setting.name}: everybody can see a command line", hint=hint)
    if setting.kind is FLAG and not has_value:
        return flag
    if not has_value or not flag:
        hint = f"such as {setting.name}={setting.kind.metavar}"
        raise UsageError(f"-o {setting.name}: it needs a value", hint=hint)
    return value.replace('"', "")
