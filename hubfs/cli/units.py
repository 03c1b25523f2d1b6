"""The files of a service: a unit of systemd, and a configuration to begin with. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hubfs.config.declaring import Setting
from hubfs.config.kinds import FLAG
from hubfs.config.table import SETTINGS

MARK: Final = "# Written by `hubfs service install`, which may write it again."
WIDTH: Final = 96
USUAL_NAME: Final = "hubfs"
_LIKE_NUMBERS: Final = frozenset({"N", "SECONDS"})


@dataclass(frozen=True, slots=True)
class Service:
    """One mount that systemd looks after: the machine's, or a user's."""

    name: str
    mountpoint: Path
    is_system: bool
    config: Path
    python: Path
    unmount: Path
    """fusermount3: it takes away what a daemon that was killed has left."""

    @property
    def cache(self) -> Path | None:
        """Where the machine's has its cache; a user's is where the user's always is."""
        return Path("/var/cache") / self.name if self.is_system else None

    @property
    def target(self) -> str:
        """What starts it."""
        return "multi-user.target" if self.is_system else "default.target"


def unit_text(service: Service) -> str:
    """The unit. It must not get a mount namespace: nobody else would see what is mounted."""
    place, python = _argument(service.mountpoint), _argument(service.python)
    needed = [service.mountpoint.parent, *([service.cache] if service.cache else [])]
    lines = [
        MARK,
        "",
        "[Unit]",
        f"Description=The Hugging Face Hub at {_escaped(service.mountpoint)}",
        "After=network.target",
        f"RequiresMountsFor={' '.join(map(_quoted, needed))}",
        "",
        "[Service]",
        "Type=notify",
        f"Environment={_quoted(f'HUBFS_CONFIG={service.config}')}",
        f"ExecStart={python} -m hubfs mount --foreground {place}",
        'ExecReload=/bin/sh -c "kill -HUP $$MAINPID"',
        "# SIGTERM unmounts. This is for a daemon that was killed.",
        f"ExecStopPost=-{_argument(service.unmount)} -u -z -q {place}",
        "Restart=on-failure",
        "RestartSec=2",
        "TimeoutStopSec=20",
        "KillMode=mixed",
        "LimitNOFILE=1048576",
        *(_of_system(service) if service.is_system else _OF_USER),
        "",
        "[Install]",
        f"WantedBy={service.target}",
    ]
    return "\n".join(lines) + "\n"


def _of_system(service: Service) -> list[str]:
    return [
        "OOMScoreAdjust=-500",
        f"CacheDirectory={service.name}",
        "CacheDirectoryMode=0700",
        "UMask=0077",
        "# All that goes with mounting, passthrough and cache directories of other users. Options",
        "# such as PrivateTmp, ProtectSystem, ProtectHome and ProtectKernelTunables are missing on",
        "# purpose: each makes a mount namespace, in which the mount would be seen by hubfs alone.",
        "PrivateMounts=no",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH",
        "DevicePolicy=closed",
        "DeviceAllow=/dev/fuse rw",
        "LockPersonality=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
    ]


_OF_USER: Final = (
    "# Mounting as a user goes through fusermount3, which is setuid: no option may be set that",
    "# implies NoNewPrivileges.",
)


def stub_text(service: Service) -> str:
    """A configuration that says what the service needs, and what else could be said."""
    begun: dict[str, str] = {}
    if service.cache is not None:
        begun = {"cache_dir": f'"{service.cache}"', "allow_other": "true"}
    lines = [
        "# Settings of hubfs. `hubfs config show` says what holds; `systemctl reload` has most of",
        "# them taken at once, the others by a restart.",
    ]
    for name, setting in SETTINGS.items():
        lines += ["", *_described(setting)]
        lines += [f"{name} = {begun[name]}"] if name in begun else [f"# {name} = {_value(setting)}"]
    return "\n".join(lines) + "\n"


def _described(setting: Setting[object]) -> list[str]:
    default = f" [{setting.shown_default}]" if setting.shown_default else ""
    return [f"# {line}" for line in textwrap.wrap(setting.help + default, WIDTH)]


def _value(setting: Setting[object]) -> str:
    text = setting.kind.text(setting.default_value)
    return text if setting.kind is FLAG or setting.kind.metavar in _LIKE_NUMBERS else f'"{text}"'


def _argument(text: object) -> str:
    """A word of a command."""
    return _quoted(text).replace("$", "$$")


def _quoted(text: object) -> str:
    return '"' + _escaped(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: object) -> str:
    return str(text).replace("%", "%%")
