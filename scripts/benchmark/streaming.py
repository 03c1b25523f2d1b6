"""Resident memory, and patience with names, while cold files stream."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import Bench, say, settle
from scripts.benchmark.hub import Hub, serving
from scripts.benchmark.mounts import Mount, mounted
from scripts.benchmark.processes import ask, dd, run
from scripts.benchmark.rows import Row, Run, at_most, bound, side
from scripts.benchmark.sources import MIB, Source, write_sparse
from scripts.benchmark.usage import Use, watched

SECTION = "memory"
READERS = 8
REPO = "bench/long"
LOOKS = 200


def streaming(bench: Bench) -> Iterator[Row]:
    """8 readers, each of a file of its own that nobody has read before."""
    total = bench.pick(20 << 30, 2 << 30)
    bench.needs_room(total)
    folder = bench.scratch / "long"
    folder.mkdir()
    say(f"making {READERS} files, {total >> 30} GiB in all")
    sources = [
        write_sparse(folder / f"part-{at}.bin", total // READERS, seed=10 + at)
        for at in range(READERS)
    ]
    with serving(bench.scratch) as hub:
        hub.create_repo(REPO, {source.path.name: source for source in sources})
        with mounted(bench.scratch, hub) as mount:
            yield from _stream(hub, mount, sources)


def _stream(hub: Hub, mount: Mount, sources: list[Source]) -> Iterator[Row]:
    directory = mount.directory / REPO
    run("ls", "-l", directory)
    idle = _latencies(directory)
    hub.forget_traffic()
    settle()
    with watched(mount.pids) as use, ThreadPoolExecutor(READERS + 1) as pool:
        looks = pool.submit(_latencies, directory)
        list(pool.map(lambda source: dd(directory / source.path.name, source.size), sources))
    total = sum(source.size for source in sources)
    say(f"streamed {total >> 30} GiB: peak {use.resident / MIB:.0f} MiB")
    proof = ", ".join(proofs.samples(directory / each.path.name, each) for each in sources)
    yield _resident(use, total, proof)
    yield _thrift(hub, total, proof)
    yield _patience(looks.result(), idle)


def _resident(use: Use, total: int, proof: str) -> Row:
    name = f"resident, streaming {total >> 30} GiB cold by {READERS} readers / 250 MiB"
    ours = side("peak resident memory", [Run(use.resident, proof)])
    limit = bound("allowed", 250 * MIB)
    return Row(SECTION, name, "B", ours, limit, at_most(1.0), use.in_words(), use.as_details())


def _thrift(hub: Hub, total: int, proof: str) -> Row:
    ours = side("downloaded", [Run(hub.traffic().content_bytes, proof)])
    name = f"downloaded by those {READERS} readers / size of their files"
    return Row(SECTION, name, "B", ours, bound("their size", total), at_most(1.0))


def _latencies(directory: Path) -> list[float]:
    found: list[float] = ask("readers", "latencies", directory, LOOKS, 0.02)["seconds"]
    return found


def _patience(busy: list[float], idle: list[float]) -> Row:
    rank = LOOKS * 99 // 100
    proof = proofs.equal(len(busy), len(idle), "names that are not there")
    ours, rest = side("streaming", [Run(busy[rank], proof)]), side("idle", [Run(idle[rank], proof)])
    name = f"stat, 99th percentile: while {READERS} cold files stream / idle"
    details: dict[str, object] = {"busy": busy, "idle": idle}
    return Row(SECTION, name, "s", ours, rest, details=details)


GROUPS = (streaming,)
