"""The files that a hub serves: made here, so that what a reader got can be compared.

Every page carries its own position, so no page can pass for another one.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.benchmark.processes import run

MIB = 1 << 20
PAGE = 4096
COLUMNS = 4096
ROWS = 4096
TENSOR = ROWS * COLUMNS * 2  # F16
SLICE = range(1000, 2000)


@dataclass(frozen=True)
class Source:
    """A file as the hub has it."""

    path: Path

    @cached_property
    def size(self) -> int:
        """Its length in bytes."""
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """The hash of all of it."""
        return sha256_of(self.path)


def sha256_of(path: Path) -> str:
    """The hash of a file; a program computes it, since the file may be in a mount that hangs."""
    return run("sha256sum", "--binary", path).split()[0]


def _stamped(seed: int, size: int) -> Iterator[bytearray]:
    """`size` bytes, a MiB at a time: noise that nothing compresses, each page with its position."""
    piece = bytearray(random.Random(seed).randbytes(MIB))
    for start in range(0, size, MIB):
        for page in range(0, MIB, PAGE):
            struct.pack_into("<QQ", piece, page, seed, start + page)
        yield piece[: min(MIB, size - start)]


def write_sparse(path: Path, size: int, seed: int, every: int = MIB) -> Source:
    """Make a file that takes next to no disk: a page in each `every` bytes says where it is."""
    noise = random.Random(seed).randbytes(PAGE - 16)
    with path.open("wb") as file:
        for start in range(0, size, every):
            os.pwrite(file.fileno(), struct.pack("<QQ", seed, start) + noise, start)
        file.truncate(size)
    return Source(path)


def write_safetensors(path: Path, size: int, seed: int) -> Source:
    """Make a model of about `size` bytes: matrices of 32 MiB behind a real header."""
    count = max(1, size // TENSOR)
    header = json.dumps({name_of(at): _description(at) for at in range(count)}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.writelines(_stamped(seed, count * TENSOR))
    return Source(path)


def _description(at: int) -> dict[str, object]:
    offsets = [at * TENSOR, (at + 1) * TENSOR]
    return {"dtype": "F16", "shape": [ROWS, COLUMNS], "data_offsets": offsets}


def name_of(at: int) -> str:
    """The name of a tensor."""
    return f"model.layers.{at}.weight"


def bytes_for_slice(model: Source) -> int:
    """What a reader of `SLICE` of one tensor needs: the header and those rows."""
    with model.path.open("rb") as file:
        (header,) = struct.unpack("<Q", file.read(8))
    return int(8 + header + len(SLICE) * COLUMNS * 2)
