"""Folders that are not the store's: watched, so that nobody changes them; and another disk."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType

State = tuple[str, int, int, str]


class Untouched:
    """Within it, nothing below `root` may change: no byte, no mode, no time, no name."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> None:
        self._before = states_below(self._root)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            assert states_below(self._root) == self._before


def states_below(root: Path) -> dict[str, State]:
    """Of each name: what it is, its mode, when it was changed, what it holds or where it leads."""
    return {str(path.relative_to(root)): _state(path) for path in sorted(root.rglob("*"))}


def _state(path: Path) -> State:
    found = path.lstat()
    kind = stat.filemode(found.st_mode)
    held = ""
    if stat.S_ISLNK(found.st_mode):
        held = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        held = hashlib.sha256(path.read_bytes()).hexdigest()
    return kind, found.st_uid, found.st_mtime_ns, held


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Make files below `root`, and return it."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_in_place(path: Path, data: bytes) -> None:
    """Change the first bytes of a file, and hide it as far as a program can: the times are back."""
    found = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
