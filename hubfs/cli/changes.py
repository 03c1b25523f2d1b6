"""Changes to the machine: each is said, made whole or not at all, or, in a dry run, only said."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from hubfs.cli.units import MARK
from hubfs.errors import HubfsError

_SYSTEMD_RUNS: Final = Path("/run/systemd/system")


class Changes:
    """Changes the machine, or what is below `root`, and says so; or, if dry, only says so.

    Every change may raise HubfsError: it is refused, or would undo the work of others.
    """

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

    def keep_or_write(self, path: Path, text: str) -> None:
        """Write a file for its owner alone, unless there is one."""
        if self.exists(path):
            click.echo(f"keep {path}")
        elif self._may(f"write {path}", text):
            self._replace(path, text, 0o600)

    def write(self, path: Path, text: str) -> None:
        """Write a file whole, over what was written so before."""
        if self.exists(path):
            self.refuse_others(path)
        if self._may(f"write {path}", text):
            self._replace(path, text, 0o644)

    def written_beside(self, path: Path) -> list[Path]:
        """The other files that were written so in its directory."""
        found = self._place(path).parent.glob("*.service")
        return [each for each in found if each.name != path.name and _is_written(each)]

    def refuse_others(self, path: Path) -> None:
        """See that a file was written so."""
        if not _is_written(self._place(path)):
            hint = "give the service another --name, or move the file away"
            raise HubfsError(f"{path} was not written by hubfs", hint=hint)

    def _replace(self, path: Path, text: str, mode: int) -> None:
        place = self._place(path)
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

    def run_systemctl(self, *words: str) -> None:
        """Tell systemd, where it runs; what it says is passed on."""
        if self._root is not None or not (self._is_dry or _SYSTEMD_RUNS.is_dir()):
            return
        if self._may(f"run systemctl {' '.join(words)}"):
            done = subprocess.run(
                ["systemctl", *words], capture_output=True, text=True, check=False
            )
            if done.returncode:
                click.echo(f"  it failed: {done.stderr.strip()}", err=True)

    def _may(self, what: str, text: str = "") -> bool:
        click.echo(f"would {what}" if self._is_dry else what)
        if self._is_dry and text:
            click.echo("".join(f"    {line}" for line in text.splitlines(keepends=True)))
        return not self._is_dry

    def _place(self, path: Path) -> Path:
        return path if self._root is None else self._root / path.relative_to("/")


def _is_written(place: Path) -> bool:
    try:
        return place.read_text().startswith(MARK)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "" if os.getuid() == 0 else "run as root, or give --user"
        raise HubfsError(f"cannot change {path}: {error.strerror}", hint=hint) from error
