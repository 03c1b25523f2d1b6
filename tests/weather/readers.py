"""Readers in processes of their own, which compare what they get with what it should be.

A page fault holds the GIL, so nothing that maps a cold file may share a process
with the hub that is to fill it; and readers that crash shall crash alone.

    python -m tests.weather.readers VERB ARGUMENT...
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from tests.mount.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
KIB, MIB = 1 << 10, 1 << 20
WRONG = 3  # the exit code of a reader that got what it should not have got


def start(verb: str, *arguments: object, stdin: int | None = None) -> subprocess.Popen[str]:
    """A child at work; it says what it found as its last line."""
    command = [sys.executable, "-m", "tests.weather.readers", verb, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str], seconds: float = PATIENCE) -> str:
    """What it found, once it has."""
    with child:
        try:
            output, _ = child.communicate(timeout=seconds)
        finally:
            child.kill()
    assert child.returncode == 0, (child.returncode, output)
    return output.strip().rpartition("\n")[2]


@contextlib.contextmanager
def at_work(verb: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A child that has said `ready`, and is killed in the end."""
    with start(verb, *arguments) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def say(word: object) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


# --- in the child ----------------------------------------------------------------------


class WrongBytes(Exception):
    """Not what the file should hold; nothing else matters any more."""


class Reader:
    """Reads a file in some manner, beside a file on disk that holds the right bytes."""

    def __init__(self, path: str, right: str, seed: int) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._right = os.open(right, os.O_RDONLY)
        self._size = os.fstat(self._right).st_size
        self._chance = random.Random(seed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        os.close(self._right)

    def check(self, start: int, data: bytes) -> None:
        if data != os.pread(self._right, len(data), start):
            raise WrongBytes(f"{len(data)} bytes at {start}")

    def _read(self, start: int, size: int) -> None:
        size = min(size, self._size - start)
        data = self._pread(start, size)
        if len(data) != size:
            raise WrongBytes(f"{len(data)} bytes instead of {size} at {start}")
        self.check(start, data)

    def _pread(self, start: int, size: int) -> bytes:
        return os.pread(self._file, size, start)

    def forward(self) -> None:
        """From the beginning to the end."""
        for start in range(0, self._size, MIB):
            self._read(start, MIB)

    def at_random(self, count: int = 60) -> None:
        """Here and there."""
        for _ in range(count):
            self._read(self._chance.randrange(self._size), self._chance.choice([1, KIB, 256 * KIB]))

    def mapped(self, count: int = 40) -> None:
        """Here and there, through a mapping."""
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as view:
            for _ in range(count):
                start = self._chance.randrange(self._size)
                self.check(start, view[start : start + 64 * KIB])

    def in_strides(self) -> None:
        """Forward, skipping most: as a loader that takes every other tensor."""
        for start in range(0, self._size, 3 * MIB):
            self._read(start, MIB)


class CutShort(Reader):
    """One whose mount may die under it: a read then ends where its last piece did."""

    def _pread(self, start: int, size: int) -> bytes:
        found = super()._pread(start, size)
        # What comes next says why: an error, or the rest after all.
        return found + super()._pread(start + len(found), size - len(found))


MANNERS: Sequence[Callable[[Reader], None]] = (
    Reader.forward,
    Reader.at_random,
    Reader.mapped,
    Reader.in_strides,
)


def read_together(path: str, right: str, seed: str, count: str) -> None:
    """As many threads as `count` read at once, each in a manner of its own."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            MANNERS[number % len(MANNERS)](Reader(path, right, int(seed) + number))
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(int(count))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]
    say("right")


def read_through_crashes(*paths: str) -> None:
    """For each line that comes, read in all manners at once until the mount dies under it.

    `paths` are pairs of a file and the right one. A process for each manner:
    a mapping dies with its mount. Prints how each of them ended.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pairs = list(zip(paths[::2], paths[1::2], strict=True))
    for line in sys.stdin:
        children = {
            _forked(manner, pairs, int(line) + number): manner.__name__
            for number, manner in enumerate(MANNERS)
        }
        say("ready")
        ends = {children[pid]: os.waitpid(pid, 0)[1] for pid in children}
        say(json.dumps({name: os.waitstatus_to_exitcode(status) for name, status in ends.items()}))


def _forked(manner: Callable[[Reader], None], pairs: list[tuple[str, str]], seed: int) -> int:
    """The process that reads in one manner, now this file and now that."""
    pid = os.fork()
    if pid:
        return pid
    chance, code = random.Random(seed), WRONG
    try:
        while True:
            with CutShort(*chance.choice(pairs), chance.randrange(1 << 30)) as reader:
                manner(reader)
    except OSError:
        code = 0
    except WrongBytes as error:
        sys.stderr.write(f"{manner.__name__}: {error}\n")
    finally:
        os._exit(code)  # what else there is belongs to the parent


def read_slice(path: str, name: str, start: str, stop: str) -> None:
    """Take rows of a tensor as a loader does; print a number that hangs on all of them."""
    import numpy as np  # noqa: PLC0415 - only this child pays for it
    from safetensors import safe_open  # noqa: PLC0415

    with safe_open(path, "np") as file:
        rows = file.get_slice(name)[int(start) : int(stop)]
    say(json.dumps([list(rows.shape), int(np.bitwise_xor.reduce(rows, axis=None))]))


def open_and_wait(path: str, offset: str) -> None:
    """Read a byte that does not come; print the error's name when told so."""
    file = os.open(path, os.O_RDONLY)
    say("ready")
    try:
        os.pread(file, 1, int(offset))
        say("read")
    except OSError as error:
        say(os.strerror(error.errno or 0))


VERBS: dict[str, Callable[..., None]] = {
    "read-together": read_together,
    "read-through-crashes": read_through_crashes,
    "read-slice": read_slice,
    "open-and-wait": open_and_wait,
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
