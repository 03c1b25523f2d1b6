"""`hubfs service`: the mount as a service of systemd, and the helpers of mount(8)."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from hubfs.cli.changes import Changes
from hubfs.cli.paths import PATH, PathType
from hubfs.cli.units import USUAL_NAME, Service, stub_text, unit_text
from hubfs.config.places import absolute, home
from hubfs.errors import HubfsError, UsageError

HELPERS: Final = ("mount.hubfs", "mount.fuse.hubfs")
_NAME = click.option(
    "--name", default=USUAL_NAME, show_default=True, help="Of the service: one for each mount."
)
_WHOSE = click.option(
    "--system/--user",
    "is_system",
    default=None,
    help="The machine's, or this user's.  [default: the machine's for root]",
)
_ROOT = click.option(
    "--root",
    type=PathType(path_type=Path, file_okay=False),
    help="Write below this directory, as for an image; nothing is told to systemd.",
)
_DRY = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")


@click.group()
def service() -> None:
    r"""Have systemd look after a mount.

    \b
    Examples:
      hubfs service install --mountpoint /models
      systemctl enable --now hubfs
      systemctl reload hubfs
    """


@service.command()
@_WHOSE
@click.option("--mountpoint", type=PATH, help="[default: /models, or ~/models]")
@_NAME
@click.option(
    "--link-helpers/--no-link-helpers",
    default=None,
    help="Let mount(8) and fstab know the type hubfs.  [default: for the machine's]",
)
@_ROOT
@_DRY
def install(
    *,
    is_system: bool | None,
    mountpoint: Path | None,
    name: str,
    link_helpers: bool | None,
    root: Path | None,
    dry_run: bool,
) -> None:
    r"""Write what systemd needs to look after a mount.

    That is a unit, a configuration to begin with, and links for mount(8). A
    configuration that is there is kept. Nothing is started.

    \b
    Examples:
      hubfs service install --mountpoint /models
      hubfs service install --user --mountpoint ~/models
      hubfs service install --dry-run
    """
    found = _service(name, is_system=is_system, mountpoint=mountpoint)
    does = Changes(root, dry_run=dry_run)
    does.make_directory(found.mountpoint)
    does.keep_or_write(found.config, stub_text(found))
    does.write(_unit_file(found), unit_text(found))
    if found.is_system if link_helpers is None else link_helpers:
        for each in HELPERS:
            does.link(Path("/sbin") / each, found.python.with_name(each))
    _tell_systemd(does, found, "daemon-reload")
    of_user = "" if found.is_system else " --user"
    click.echo(f"start it with: systemctl{of_user} enable --now {found.name}")
    if not found.is_system:
        click.echo("without a login too: loginctl enable-linger")


@service.command()
@_WHOSE
@_NAME
@_ROOT
@_DRY
def uninstall(*, is_system: bool | None, name: str, root: Path | None, dry_run: bool) -> None:
    r"""Stop the service, and remove its unit. Configuration and cache stay.

    The links for mount(8) go with the last service.

    \b
    Examples:
      hubfs service uninstall
      hubfs service uninstall --user --dry-run
    """
    found = _service(name, is_system=is_system, mountpoint=None)
    does = Changes(root, dry_run=dry_run)
    if not does.exists(_unit_file(found)):
        raise HubfsError(f"there is no service {name}", hint=f"{_unit_file(found)} is not there")
    does.refuse_others(_unit_file(found))
    _tell_systemd(does, found, "disable", "--now", found.name)
    others = does.written_beside(_unit_file(found))
    does.remove(_unit_file(found))
    for each in HELPERS if found.is_system and not others else ():
        does.unlink(Path("/sbin") / each, found.python.with_name(each))
    _tell_systemd(does, found, "daemon-reload")
    click.echo(f"kept: {found.config}, and the cache")


def _service(name: str, *, is_system: bool | None, mountpoint: Path | None) -> Service:
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        hint = "give letters, digits and dashes, such as hubfs-mirror"
        raise UsageError(f"{name!r} is no name of a service", hint=hint)
    system = os.getuid() == 0 if is_system is None else is_system
    place = absolute(mountpoint or (Path("/models") if system else home() / "models"))
    if not str(place).isprintable():
        raise UsageError(f"{str(place)!r} cannot be named in a unit")
    base = Path("/etc/hubfs") if system else _configuration_home() / "hubfs"
    config = base / ("config.toml" if name == USUAL_NAME else f"{name}.toml")
    python = Path(sys.executable)
    unmount = Path(shutil.which("fusermount3") or "/usr/bin/fusermount3")
    return Service(name, place, system, config, python, unmount)


def _configuration_home() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME")
    return Path(given) if given else home() / ".config"


def _unit_file(service: Service) -> Path:
    of_user = _configuration_home() / "systemd/user"
    return (
        Path("/etc/systemd/system") if service.is_system else of_user
    ) / f"{service.name}.service"


def _tell_systemd(does: Changes, service: Service, *words: str) -> None:
    does.run_systemctl(*([] if service.is_system else ["--user"]), *words)
