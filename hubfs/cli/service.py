"""`hubfs service`: the mount as a service of systemd, and the helpers of mount(8)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from hubfs.cli.units import MARK, USUAL_NAME, Service, stub_text, unit_text
from hubfs.config.places import absolute, home
from hubfs.errors import HubfsError, UsageError

HELPERS: Final = ("mount.hubfs", "mount.fuse.hubfs")
_SYSTEMD_RUNS: Final = Path("/run/systemd/system")
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
    type=click.Path(path_type=Path, file_okay=False),
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
@click.option(
    "--mountpoint", type=click.Path(path_type=Path), help="[default: /models, or ~/models]"
)
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
    r"""Write a unit of systemd, a configuration to begin with, and links for mount(8).

    A configuration that is there is kept. Nothing is started.

    \b
    Examples:
      hubfs service install --mountpoint /models
      hubfs service install --user --mountpoint ~/models
      hubfs service install --dry-run
    """
    found = _service(name, is_system=is_system, mountpoint=mountpoint)
    does = _Doer(root, dry_run=dry_run)
    does.make_directory(found.mountpoint)
    does.write(found.config, stub_text(found), keeps=True, mode=0o600)
    does.write(_unit_file(found), unit_text(found))
    if found.is_system if link_helpers is None else link_helpers:
        for each in HELPERS:
            does.link(Path("/sbin") / each, found.python.with_name(each))
    does.tell_systemd(found, "daemon-reload")
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
    r"""Stop the service, and remove its unit and the links. Configuration and cache stay.

    \b
    Examples:
      hubfs service uninstall
      hubfs service uninstall --user --dry-run
    """
    found = _service(name, is_system=is_system, mountpoint=None)
    does = _Doer(root, dry_run=dry_run)
    if not does.exists(_unit_file(found)):
        raise HubfsError(f"there is no service {name}", hint=f"{_unit_file(found)} is not there")
    does.tell_systemd(found, "disable", "--now", found.name)
    does.remove(_unit_file(found))
    for each in HELPERS if found.is_system else ():
        does.unlink(Path("/sbin") / each, found.python.with_name(each))
    does.tell_systemd(found, "daemon-reload")
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


class _Doer:
    """Does things to the machine, or to what is below `root`; or, dry, only says them."""

    def __init__(self, root: Path | None, *, dry_run: bool) -> None:
        self._root = root
        self._is_dry = dry_run

    def exists(self, path: Path) -> bool:
        """Whether something of that name is there."""
        return os.path.lexists(self._place(path))

    def make_directory(self, path: Path) -> None:
        """Make it, if it is not there; it may be a mount that is dead."""
        if not self.exists(path) and self._may(f"make {path}"):
            with _refusals(path), contextlib.suppress(FileExistsError):
                self._place(path).mkdir(parents=True)

    def write(self, path: Path, text: str, *, keeps: bool = False, mode: int = 0o644) -> None:
        """Write a file whole, over what was written so before; `keeps` leaves any other.

        Raises:
            HubfsError: someone else wrote the one that is there.
        """
        place = self._place(path)
        if self.exists(path) and (keeps or not place.read_text().startswith(MARK)):
            if keeps:
                click.echo(f"keep {path}")
                return
            hint = "give the service another --name, or move the file away"
            raise HubfsError(f"{path} was not written by hubfs", hint=hint)
        if not self._may(f"write {path}", text):
            return
        with _refusals(path):
            place.parent.mkdir(parents=True, exist_ok=True)
            new = place.with_name(f".{place.name}.new")
            new.write_text(text)
            new.chmod(mode)
            new.replace(place)

    def link(self, path: Path, target: Path) -> None:
        """Make a symlink, in place of another symlink if there is one."""
        place = self._place(path)
        if place.exists() and not place.is_symlink():
            raise HubfsError(f"{path} is not a symlink", hint="give --no-link-helpers")
        if not self._may(f"link {path} to {target}"):
            return
        with _refusals(path):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(target)

    def unlink(self, path: Path, target: Path) -> None:
        """Remove a symlink, if it leads to `target`."""
        place = self._place(path)
        if place.is_symlink() and place.readlink() == target:
            self.remove(path)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        if self._may(f"remove {path}"):
            with _refusals(path):
                self._place(path).unlink()

    def tell_systemd(self, service: Service, *words: str) -> None:
        """Run systemctl, where systemd runs."""
        command = ["systemctl", *([] if service.is_system else ["--user"]), *words]
        if self._root is not None or not (self._is_dry or _SYSTEMD_RUNS.is_dir()):
            return
        if self._may(f"run {' '.join(command)}"):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                click.echo(f"  it failed: {done.stderr.strip()}", err=True)

    def _may(self, what: str, text: str = "") -> bool:
        click.echo(f"would {what}" if self._is_dry else what)
        if self._is_dry and text:
            click.echo("".join(f"    {line}" for line in text.splitlines(keepends=True)))
        return not self._is_dry

    def _place(self, path: Path) -> Path:
        return path if self._root is None else self._root / path.relative_to("/")


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "" if os.getuid() == 0 else "run as root, or give --user"
        raise HubfsError(f"cannot change {path}: {error.strerror}", hint=hint) from error
