"""One benchmark run: its options, its place on disk, and what all sections share."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from scripts.benchmark.hub import Hub, serving
from scripts.benchmark.rows import CannotRun, Row
from scripts.benchmark.sources import MIB, Source, write_safetensors

REPO = "bench/model"
MODEL = "model.safetensors"
MEMORY = 8 << 30  # as much as a run may touch for the first time


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `size` in bytes."""

    runs: int = 3
    size: int = 2 << 30
    is_quick: bool = False


class Bench:
    """Hubs and sources are made when first asked for, and last until the stack ends."""

    def __init__(self, options: Options, scratch: Path, stack: contextlib.ExitStack) -> None:
        self.options = options
        self.runs = options.runs
        self.scratch = scratch
        self._stack = stack

    def pick(self, full: int, quick: int) -> int:
        """A number that depends on whether there is time."""
        return quick if self.options.is_quick else full

    @cached_property
    def model(self) -> Source:
        """The file that most rows read."""
        say(f"making a model of {self.options.size // MIB} MiB")
        return write_safetensors(self.scratch / MODEL, self.options.size, seed=1)

    @cached_property
    def hub(self) -> Hub:
        """A hub that has the model."""
        return self._hub_with_model(tls=False)

    @cached_property
    def tls_hub(self) -> Hub:
        """The same over https."""
        return self._hub_with_model(tls=True)

    def _hub_with_model(self, *, tls: bool) -> Hub:
        hub = self._stack.enter_context(serving(self.scratch, tls=tls))
        hub.create_repo(REPO, {MODEL: self.model})
        return hub

    def needs_room(self, count: int) -> None:
        """Look before a row that fills the disk.

        Raises:
            CannotRun: `count` bytes and some to spare are not there.
        """
        free = shutil.disk_usage(self.scratch).free
        if free < count + (2 << 30):
            need, have = count >> 30, free >> 30
            raise CannotRun(f"{need} GiB of disk and 2 to spare are needed, {have} are free")


Group: TypeAlias = Callable[[Bench], Iterator[Row]]
"""Measures some rows that share a setup; it may yield some and then fail."""


def say(text: str) -> None:
    """Tell a person that waits what is going on."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long something took, setup and proofs included."""
    started = time.monotonic()
    yield
    say(f"{what} took {time.monotonic() - started:.0f} s")


def settle() -> None:
    """Have no run pay for what came before it: dirty pages, and memory given back to a host.

    A virtual machine's host takes free pages away and returns them at the first touch, which
    costs several times what copying into them does.
    """
    os.sync()
    size = min(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2, MEMORY)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mmap.mmap(-1, size, flags=private | mmap.MAP_POPULATE).close()


def warm(path: Path) -> None:
    """Have a file in the page cache."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(MIB)
        while file.readinto(buffer):
            pass
