"""Where things are kept when nobody says, and how a path is made absolute."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from hubfs.errors import StoreFull, UsageError

LONGEST_CHAIN = 40  # of symlinks, as in the kernel


def runtime_dir() -> Path:
    """`$XDG_RUNTIME_DIR/hubfs`; without it `/run/hubfs` for root, `/tmp/hubfs-UID` for others.

    One of somebody else, as `su` leaves it, is none.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and is_own_directory(Path(given)):
        return Path(given) / "hubfs"
    return _without_session()


def runtime_dirs() -> list[Path]:
    """Where a daemon of this user may have left word of itself, as its environment was.

    One that a service started has no session; who looks for it from a login has one.
    """
    session = Path(f"/run/user/{os.getuid()}/hubfs")
    found = dict.fromkeys((runtime_dir(), _without_session(), session))
    return [each for each in found if is_own_directory(each)]


def _without_session() -> Path:
    return Path("/run/hubfs") if os.getuid() == 0 else Path(f"/tmp/hubfs-{os.getuid()}")  # noqa: S108


def is_own_directory(path: Path) -> bool:
    """Whether a directory is there that belongs to this user."""
    try:
        return _is_own(path.stat())
    except OSError:
        return False


def _is_own(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def short_name(path: Path) -> str:
    """What a file in the runtime directory that is about `path` is called, without its suffix."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def make_runtime_dir() -> None:
    """Make `runtime_dir`, for this user alone.

    Raises:
        StoreFull: it cannot be made, or somebody else may change what is in it.
    """
    directory = runtime_dir()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise StoreFull(f"cannot make {directory}: {error.strerror}") from error
    # In /tmp, anybody may have made it before us.
    if not _is_own(found) or found.st_mode & 0o022:
        hint = "remove it, or set XDG_RUNTIME_DIR to a directory of yours"
        raise StoreFull(f"{directory} belongs to, or may be written by, someone else", hint=hint)


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/hubfs`, or `~/.cache/hubfs`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return absolute((Path(base) if base else home() / ".cache") / "hubfs")


def home() -> Path:
    """The user's own directory.

    Raises:
        UsageError: nobody knows it, as of a number that is no user in a container.
    """
    return _expanded(Path("~"))


def named(path: Path) -> Path:
    """`path` in full, its symlinks as they are.

    Raises:
        UsageError: it begins with a `~` that nobody knows.
    """
    return Path(os.path.abspath(_expanded(path)))  # noqa: PTH100 - resolve() would follow links


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        hint = "set HOME, or name the directory in full"
        raise UsageError(f"nobody knows which directory {path.parts[0]} is", hint=hint) from None


def absolute(path: Path) -> Path:
    """`path` as the kernel names it, without asking what is mounted there: it may be dead.

    Raises:
        UsageError: it leads nowhere.
    """
    path = named(path)
    for _ in range(LONGEST_CHAIN):
        path = path.parent.resolve() / path.name
        try:
            path = Path(os.path.abspath(path.parent / path.readlink()))  # noqa: PTH100
        except OSError:
            return path
    raise UsageError(f"{path} is a symlink to itself")


def find_obstacle(directory: Path) -> Path | None:
    """What is where `directory`, or one above it, should be, and is no directory."""
    for each in (directory, *directory.parents):
        with contextlib.suppress(OSError):
            return None if stat.S_ISDIR(each.stat().st_mode) else each
    return None


def hub_cache_dir() -> Path:
    """Where the Hub's own client keeps what it downloads, found as it finds it."""
    found = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if not found:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        found = (os.environ.get("HF_HOME") or f"{home}/huggingface") + "/hub"
    return absolute(Path(os.path.expandvars(found)))
