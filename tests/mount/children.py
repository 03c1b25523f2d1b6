"""Readers in processes of their own.

A page fault holds the GIL: a test that maps a cold file would stop the very
hub, a thread of the same process, that is to fill the page. And a reader that
is to be killed must be another process anyway.

    python -m tests.mount.children VERB PATH [NUMBER...]
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mount.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
_GETDENTS64 = 217 if os.uname().machine == "x86_64" else 61


def run_reader(verb: str, path: Path, *numbers: int) -> str:
    """Let a child read, and return what it printed."""
    done = subprocess.run(
        command(verb, path, *numbers),
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
        command(verb, path, *numbers),
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


def command(verb: str, path: Path, *numbers: int) -> list[str]:
    """What runs a child, from `ROOT`."""
    return [sys.executable, "-m", "tests.mount.children", verb, str(path), *map(str, numbers)]


# --- in the child ----------------------------------------------------------------------


def say(*texts: object) -> None:
    """Tell the parent, now."""
    sys.stdout.write(f"{' '.join(map(str, texts))}\n")
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


def list_at_once(path: str, threads: int, rounds: int) -> None:
    """Print how many bytes of lines the directories in `path` have, each thread reading all.

    Many at a time: the C library asks for 32 KiB, programs of other languages for more.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    directories = [each.path for each in os.scandir(path)]

    def read_all(_: int) -> int:
        lines = ctypes.create_string_buffer(1 << 20)
        found = 0
        for directory in directories * rounds:
            opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            while (size := libc.syscall(_GETDENTS64, opened, lines, len(lines))) > 0:
                found += size
            assert size == 0, os.strerror(ctypes.get_errno())
            os.close(opened)
        return found

    with ThreadPoolExecutor(threads) as pool:
        say(*set(pool.map(read_all, range(threads))))


def open_at_once(path: str, threads: int, rounds: int) -> None:
    """Print how many bytes the files in `path` begin with, each thread opening each of them."""
    files = [each.path for each in os.scandir(path)]

    def open_all(_: int) -> int:
        found = 0
        for file in files * rounds:
            opened = os.open(file, os.O_RDONLY)
            found += len(os.read(opened, 10))
            os.close(opened)
        return found

    with ThreadPoolExecutor(threads) as pool:
        say(*set(pool.map(open_all, range(threads))))


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
    "list-at-once": list_at_once,
    "open-at-once": open_at_once,
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
