"""Programs that read: `python -m scripts.benchmark.readers NAME ARGUMENTS...` prints JSON.

Each is timed inside, so starting Python counts for nobody. They know files, no
hub and no mount.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

MIB = 1 << 20
PAGE = 4096
SAMPLES = 256
CROWD = 8  # processes, and threads in each of them


def _open(path: str | Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _mapped(path: str | Path) -> mmap.mmap:
    descriptor = _open(path)
    try:
        return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
    finally:
        os.close(descriptor)


def sample(path: str) -> dict[str, Any]:
    """Hash the length, both ends, and pages all over the file, those at whole MiBs among them."""
    size = Path(path).stat().st_size
    choice = random.Random(size)
    pages = [choice.randrange(size) // PAGE * PAGE for _ in range(SAMPLES)]
    starts = [choice.randrange(size) // MIB * MIB for _ in range(SAMPLES)]
    digest = hashlib.sha256(str(size).encode())
    descriptor = _open(path)
    for offset in [0, max(0, size - PAGE), *pages, *starts]:
        digest.update(os.pread(descriptor, PAGE, offset))
    return {"digest": digest.hexdigest()}


def touch(path: str) -> dict[str, Any]:
    """Map the file and read one byte of each page, front to back."""
    memory = _mapped(path)
    started = time.perf_counter()
    seen = bytes(memoryview(memory)[::PAGE])
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "digest": hashlib.sha256(seen).hexdigest()}


def preads(path: str, count: str) -> dict[str, Any]:
    """Read pages at random offsets, one after the other."""
    descriptor, size = _open(path), Path(path).stat().st_size
    choice = random.Random(size)
    offsets = [choice.randrange(size - PAGE) // PAGE * PAGE for _ in range(int(count))]
    started = time.perf_counter()
    pages = [os.pread(descriptor, PAGE, offset) for offset in offsets]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "digest": hashlib.sha256(b"".join(pages)).hexdigest()}


def first_byte(path: str, *offsets: str) -> dict[str, Any]:
    """Open the file and read a page at each offset."""
    seconds, pages = [], []
    for offset in map(int, offsets):
        started = time.perf_counter()
        descriptor = _open(path)
        pages.append(os.pread(descriptor, PAGE, offset))
        seconds.append(time.perf_counter() - started)
        os.close(descriptor)
    return {"seconds": seconds, "digests": [hashlib.sha256(page).hexdigest() for page in pages]}


def scattered(path: str, threads: str) -> dict[str, Any]:
    """Read all of a mapped file, a MiB at a time in random order, from several threads."""
    memory = memoryview(_mapped(path))
    starts = list(range(0, len(memory), MIB))
    random.Random(len(memory)).shuffle(starts)

    def crc(start: int) -> int:
        return zlib.crc32(memory[start : start + MIB])  # gives up the GIL, page faults included

    started = time.perf_counter()
    with ThreadPoolExecutor(int(threads)) as pool:
        sums = list(pool.map(crc, starts))
    return {
        "seconds": time.perf_counter() - started,
        "digest": str(zlib.crc32(repr(sums).encode())),
    }


# --- many at once --------------------------------------------------------------------


def crowd(path: str, source: str) -> dict[str, Any]:
    """64 readers, half in order and half at random, from threads in processes; all compare."""
    with ProcessPoolExecutor(CROWD) as pool:
        wrong = sum(pool.map(partial(_threads, path, source), range(CROWD)))
    return {"wrong": wrong, "readers": CROWD * CROWD}


def _threads(path: str, source: str, number: int) -> int:
    truth = memoryview(_mapped(source))
    with ThreadPoolExecutor(CROWD) as pool:
        seeds = [number * CROWD + at for at in range(CROWD)]
        return sum(pool.map(lambda seed: _compare(path, truth, seed), seeds))


def _compare(path: str, truth: memoryview, seed: int) -> int:
    """Read and count the pieces that are not as they should be."""
    descriptor, buffer = _open(path), bytearray(MIB)
    wrong = 0
    for start in _offsets(len(truth), seed):
        count = os.preadv(descriptor, [buffer], start)
        wanted = truth[start : start + MIB]
        # The page where each MiB says who it is, and its end; all of it would take minutes.
        got = memoryview(buffer)[:count]
        same = got[:PAGE] == wanted[:PAGE] and got[-64:] == wanted[-64:]
        wrong += count != len(wanted) or not same
    os.close(descriptor)
    return wrong


def _offsets(size: int, seed: int) -> Sequence[int]:
    in_order = range(0, size, MIB)
    choice = random.Random(seed)
    return in_order if seed % 2 else choice.sample(in_order, max(1, len(in_order) // 4))


# --- names ---------------------------------------------------------------------------


def stats(root: str, list_of_names: str, threads: str = "1") -> dict[str, Any]:
    """Stat each path that a file lists, below `root`."""
    paths = [f"{root}/{name}" for name in Path(list_of_names).read_text().splitlines()]
    started = time.perf_counter()
    with ThreadPoolExecutor(int(threads)) as pool:
        sizes = (
            list(pool.map(_size, paths, chunksize=1)) if threads != "1" else [*map(_size, paths)]
        )
    seconds = time.perf_counter() - started
    digest = hashlib.sha256(repr([size for size in sizes if size is not None]).encode())
    found = sum(size is not None for size in sizes)
    return {"seconds": seconds, "found": found, "digest": digest.hexdigest()}


def _size(path: str) -> int | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each would take longer than the stat
    except FileNotFoundError:
        return None
    return status.st_size


def opens(root: str, list_of_names: str) -> dict[str, Any]:
    """Open and close each path that a file lists; a first pass has looked up the names."""
    paths = [f"{root}/{name}" for name in Path(list_of_names).read_text().splitlines()]
    sizes = [_size(path) for path in paths]
    started = time.perf_counter()
    for path in paths:
        os.close(_open(path))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "digest": hashlib.sha256(repr(sizes).encode()).hexdigest()}


def latencies(directory: str, count: str, pause: str) -> dict[str, Any]:
    """How long names take that are not there, each a new one: the kernel knows none of them."""
    seconds = []
    for at in range(int(count)):
        started = time.perf_counter()
        if _size(f"{directory}/absent-{os.getpid()}-{at}") is not None:
            sys.exit("a file is there that nobody made")
        seconds.append(time.perf_counter() - started)
        time.sleep(float(pause))
    return {"seconds": sorted(seconds)}


PROGRAMS: dict[str, Callable[..., dict[str, Any]]] = {
    "sample": sample,
    "touch": touch,
    "preads": preads,
    "first-byte": first_byte,
    "scattered": scattered,
    "crowd": crowd,
    "stats": stats,
    "opens": opens,
    "latencies": latencies,
}

if __name__ == "__main__":
    print(json.dumps(PROGRAMS[sys.argv[1]](*sys.argv[2:])))
