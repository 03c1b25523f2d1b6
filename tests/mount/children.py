"""Readers in processes of their own.

A page fault holds the GIL: a test that maps a cold file would stop the very
hub, a thread of the same process, that is to fill the page. And a reader that
is to be killed must be another process anyway.

    python -m tests.mount.children VERB PATH [NUMBER...]
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.mount.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def run_reader(verb: str, path: Path, *numbers: int) -> str:
    """Let a child read, and return what it printed."""
    done = subprocess.run(
        _command(verb, path, numbers),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


@contextlib.contextmanager
def reading(verb: str, path: Path, *numbers: int) -> Iterator[subprocess.Popen[str]]:
    """A child that reads meanwhile; it has said `ready` before, and is killed in the end."""
    child = subprocess.Popen(
        _command(verb, path, numbers),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def _command(verb: str, path: Path, numbers: tuple[int, ...]) -> list[str]:
    return [sys.executable, "-m", "tests.mount.children", verb, str(path), *map(str, numbers)]


# --- in the child ----------------------------------------------------------------------


def say(text: object) -> None:
    """Tell the parent, now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def map_whole(path: str) -> None:
    """Print the sha256 of a file, read through a mapping."""
    with _mapped(path) as view:
        say(hashlib.sha256(view).hexdigest())


def map_at(path: str, *offsets: int) -> None:
    """Print the bytes at the offsets, touched one page at a time."""
    with _mapped(path) as view:
        say(bytes(view[offset] for offset in offsets).hex())


def map_pages(path: str, seed: int, count: int) -> None:
    """Print the sha256 of pages in an order drawn from `seed`."""
    with _mapped(path) as view:
        draw = random.Random(seed)
        pages = [draw.randrange(len(view) // mmap.PAGESIZE) for _ in range(count)]
        parts = [view[page * mmap.PAGESIZE : (page + 1) * mmap.PAGESIZE] for page in pages]
        say(hashlib.sha256(b"".join(parts)).hexdigest())


def read_at(path: str, offset: int, size: int) -> None:
    """Say ready, then read once and print the bytes' sha256 or the error's name."""
    file = os.open(path, os.O_RDONLY)
    say("ready")
    try:
        say(hashlib.sha256(os.pread(file, size, offset)).hexdigest())
    except OSError as error:
        say(errno.errorcode[error.errno or 0])


def touch_mapped(path: str, offset: int) -> None:
    """Say ready, then touch one byte of a mapping and print it."""
    with _mapped(path) as view:
        say("ready")
        say(view[offset])


@contextlib.contextmanager
def _mapped(path: str) -> Iterator[mmap.mmap]:
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view,
    ):
        yield view


VERBS: dict[str, Callable[..., None]] = {
    "map-whole": map_whole,
    "map-at": map_at,
    "map-pages": map_pages,
    "read-at": read_at,
    "touch-mapped": touch_mapped,
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
