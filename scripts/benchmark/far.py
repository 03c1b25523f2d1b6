"""Cold reads from afar: every round trip takes 50 ms, and a connection carries 40 MB/s."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from scripts.benchmark import proofs
from scripts.benchmark.bench import MODEL, REPO, Bench, say, settle
from scripts.benchmark.cold import curl, megabytes
from scripts.benchmark.mounts import mounted, site_in
from scripts.benchmark.processes import ask, dd, run
from scripts.benchmark.rows import Row, Run, at_least, at_most, bound, interleaved, side
from scripts.benchmark.sources import PAGE, Source, write_sparse
from tests.mount.gguf_model import write_model

SECTION = "cold"
ROUND_TRIP = 0.05
BANDWIDTH = 40e6
CONNECTIONS = 8  # that hubfs has for one file, unless it is told otherwise
LONG = "long.bin"
GGUF = "model.gguf"
LAYER = 64 << 20  # bytes of a layer of a model that is 1024 wide
FOLDER = "bench/folder"
SMALL_FILES = {f"{number:03}.json": f'{{"id": {number}}}' * 99 for number in range(200)}
AT_ONCE = 8  # files that huggingface_hub downloads


def limited_line(bench: Bench) -> Iterator[Row]:
    """How much of a line is used when each connection carries only a part of it."""
    size = bench.pick(2 << 30, 512 << 20)
    bench.needs_room(2 * size)
    source = write_sparse(bench.scratch / LONG, size, seed=2)
    bench.hub.create_repo(REPO, {MODEL: bench.model, LONG: source})
    with bench.hub.far_away(rtt=ROUND_TRIP, bandwidth=BANDWIDTH):
        runs, curls = interleaved(
            bench.runs, lambda: _dd(bench, source), lambda: _side_by_side(bench, source)
        )
    ours = side(f"mount, {CONNECTIONS} connections", runs)
    name = "connections of 40 MB/s, 50 ms: mount / "
    line = bound(f"{CONNECTIONS} x 40 MB/s", CONNECTIONS * BANDWIDTH / 1e6)
    yield Row(SECTION, f"{name}{CONNECTIONS} x 40 MB/s", "MB/s", ours, line, at_least(0.9))
    parts = side(f"{CONNECTIONS} times curl -r", curls)
    yield Row(SECTION, f"{name}{CONNECTIONS} times curl -r at once", "MB/s", ours, parts)


def _dd(bench: Bench, source: Source) -> Run:
    with mounted(bench.scratch, bench.hub) as mount:
        path = mount.directory / REPO / source.path.name
        run("stat", path)
        settle()
        speed = megabytes(source.size, dd(path, source.size))
        say(f"mount over the limited line: {speed:.0f} MB/s")
        return Run(speed, proofs.samples(path, source))


def _side_by_side(bench: Bench, source: Source) -> Run:
    """The best that any client can do: the file in equal parts, each on a connection of its own."""
    seconds, proof = _in_parts(bench, source)
    say(f"{CONNECTIONS} times curl -r: {megabytes(source.size, seconds):.0f} MB/s")
    return Run(megabytes(source.size, seconds), proof)


def _in_parts(bench: Bench, source: Source) -> tuple[float, str]:
    length = -(-source.size // CONNECTIONS)
    with site_in(bench.scratch) as site, ThreadPoolExecutor(CONNECTIONS) as pool:
        settle()

        def get(at: int) -> float:
            span = f"{at * length}-{min((at + 1) * length, source.size) - 1}"
            return curl(bench.hub, source.path.name, "-r", span, "-o", site / f"part-{at}")

        seconds = max(pool.map(get, range(CONNECTIONS)))
        parts = [site / f"part-{at}" for at in range(CONNECTIONS)]
        run("sh", "-c", 'out=$1; shift; exec cat "$@" >"$out"', "cat", site / "whole", *parts)
        return seconds, proofs.samples(site / "whole", source)


# --- the first byte ------------------------------------------------------------------


def first_byte(bench: Bench) -> Iterator[Row]:
    """How long a reader waits who wants one page in the middle of a file."""
    choice = random.Random(3)
    pages = bench.model.size // PAGE
    later: list[Run] = []

    def ours() -> Run:
        offsets = [choice.randrange(pages) * PAGE for _ in range(3)]
        with mounted(bench.scratch, bench.hub) as mount:
            path = mount.directory / REPO / MODEL
            run("stat", path)
            first, *more = _read_at(path, bench.model, offsets)
            later.extend(more)
            return first

    def theirs() -> Run:
        return _curl_at(bench, choice.randrange(pages) * PAGE)

    with bench.hub.far_away(rtt=ROUND_TRIP):
        runs, curls = interleaved(bench.runs + 2, ours, theirs)
    curl_side = side("curl -r", curls)
    name = "page of an open repo, 50 ms: "
    row = Row(SECTION, name + "first / curl -r", "s", side("mount", runs), curl_side, at_most(1.3))
    yield row
    after = side("mount, later", later)
    yield Row(SECTION, name + "elsewhere, later / curl -r", "s", after, curl_side)


def _read_at(path: Path, source: Source, offsets: list[int]) -> list[Run]:
    found = ask("readers", "first-byte", path, *offsets)
    wanted = ask("readers", "first-byte", source.path, *offsets)
    proof = proofs.equal(found["digests"], wanted["digests"], "pages")
    return [Run(seconds, proof) for seconds in found["seconds"]]


def _curl_at(bench: Bench, offset: int) -> Run:
    with site_in(bench.scratch) as site:
        file = site / "page"
        seconds = curl(bench.hub, MODEL, "-r", f"{offset}-{offset + PAGE - 1}", "-o", file)
        with bench.model.path.open("rb") as truth:
            truth.seek(offset)
            return Run(seconds, proofs.equal(file.read_bytes(), truth.read(PAGE), "page"))


# --- small files ---------------------------------------------------------------------


def small_files(bench: Bench) -> Iterator[Row]:
    """A folder of small files, read one after the other as `cat *` does."""
    bench.hub.create_repo(FOLDER, SMALL_FILES)
    with bench.hub.far_away(rtt=ROUND_TRIP):
        runs, curls = interleaved(bench.runs, partial(_cat, bench), partial(_all_at_once, bench))
    name = f"{len(SMALL_FILES)} files of 2 KB in order, 50 ms: cat / curl, {AT_ONCE} at a time"
    yield Row(SECTION, name, "s", side("mount", runs), side("curl --parallel", curls))


def _cat(bench: Bench) -> Run:
    with mounted(bench.scratch, bench.hub) as mount:
        folder = mount.directory / FOLDER
        run("stat", folder / min(SMALL_FILES))
        began = time.monotonic()
        said = run("sh", "-c", 'cd "$1" && exec cat -- *', "sh", folder)
        seconds = time.monotonic() - began
        say(f"cat of small files: {seconds:.2f} s")
        return Run(seconds, _proof(said))


def _all_at_once(bench: Bench) -> Run:
    urls = [bench.hub.url(FOLDER, name) for name in SMALL_FILES]
    with site_in(bench.scratch) as site:
        options = ["--parallel", "--parallel-max", str(AT_ONCE), "--remote-name-all"]
        into = ["--silent", "--show-error", "--fail", "--location", "--output-dir", site]
        began = time.monotonic()
        run("curl", *options, *into, *urls)
        seconds = time.monotonic() - began
        return Run(seconds, _proof("".join((site / name).read_text() for name in SMALL_FILES)))


def _proof(found: str) -> str:
    return proofs.equal(found, "".join(SMALL_FILES.values()), "all bytes of all files")


# --- loaders -------------------------------------------------------------------------


def loaders(bench: Bench) -> Iterator[Row]:
    """What loads models, beside the time that the download alone takes at best."""
    bench.needs_room(2 * bench.options.size)
    programs = {
        "safetensors, all tensors": ("loaders", "load"),
        "8 threads, random mmap": ("readers", "scattered", 8),
    }
    yield from _beside_the_download(bench, bench.model, programs)


def llama(bench: Bench) -> Iterator[Row]:
    """llama.cpp with a GGUF file, until it has answered, beside the download alone."""
    layers = bench.pick(16, 8)
    bench.needs_room(3 * layers * LAYER)
    path = write_model(bench.scratch / GGUF, width=1024, layers=layers)
    bench.hub.create_repo(REPO, {MODEL: bench.model, GGUF: Source(path)})
    yield from _beside_the_download(bench, Source(path), {"llama.cpp": ("loaders", "llama")})


def _beside_the_download(
    bench: Bench, source: Source, programs: dict[str, tuple[Any, ...]]
) -> Iterator[Row]:
    ways = [partial(_load, bench, source, program) for program in programs.values()]
    with bench.hub.far_away(rtt=ROUND_TRIP, bandwidth=BANDWIDTH):
        download = partial(_download, bench, source)
        *found, least = interleaved(min(bench.runs, 2), *ways, download)
    reference = side("the download alone", least)
    for what, runs in zip(programs, found, strict=True):
        name = f"40 MB/s, 50 ms: {what} / the download"
        yield Row(SECTION, name, "s", side("mount", runs), reference)


def _download(bench: Bench, source: Source) -> Run:
    return Run(*_in_parts(bench, source))


def _load(bench: Bench, source: Source, program: tuple[Any, ...]) -> Run:
    module, name, *more = program
    known = ask(module, name, source.path, *more)["digest"]
    with mounted(bench.scratch, bench.hub) as mount:
        path = mount.directory / REPO / source.path.name
        run("stat", path)
        settle()
        got = ask(module, name, path, *more)
        say(f"{name} over the limited line: {got['seconds']:.1f} s")
        return Run(got["seconds"], proofs.equal(got["digest"], known, f"all that {name} read"))


GROUPS = (limited_line, first_byte, small_files, loaders, llama)
