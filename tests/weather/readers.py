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
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.mount.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
KIB, MIB = 1 << 10, 1 << 20


def start(verb: str, *arguments: object) -> subprocess.Popen[str]:
    """A child at work; it says what it found as its last line."""
    command = [sys.executable, "-m", "tests.weather.readers", verb, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


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

    def check(self, start: int, data: bytes) -> None:
        if data != os.pread(self._right, len(data), start):
            raise WrongBytes(f"{len(data)} bytes at {start}")

    def _read(self, start: int, size: int) -> None:
        size = min(size, self._size - start)
        data = os.pread(self._file, size, start)
        if len(data) != size:
            raise WrongBytes(f"{len(data)} bytes instead of {size} at {start}")
        self.check(start, data)

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


def read_until_it_fails(seed: str, *paths: str) -> None:
    """Read in all manners, from pairs of a file and the right one, while the mount lives."""
    say("ready")
    chance = random.Random(int(seed))
    pairs = list(zip(paths[::2], paths[1::2], strict=False))
    try:
        while True:
            reader = Reader(*chance.choice(pairs), chance.randrange(1 << 30))
            chance.choice([Reader.forward, Reader.at_random, Reader.in_strides])(reader)
    except OSError as error:
        say(os.strerror(error.errno or 0))


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
    "read-until-it-fails": read_until_it_fails,
    "read-slice": read_slice,
    "open-and-wait": open_and_wait,
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
