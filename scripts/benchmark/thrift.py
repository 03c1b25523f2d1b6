"""Bytes that are downloaded, by the hub's own count, for what was read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import MODEL, REPO, Bench, say
from scripts.benchmark.hub import Hub, serving
from scripts.benchmark.mounts import Mount, mounted
from scripts.benchmark.processes import ask, run
from scripts.benchmark.rows import CannotRun, Row, Run, at_most, bound, side
from scripts.benchmark.sources import MIB, TENSOR, Source, bytes_for_slice, write_sparse

SECTION = "cold"
SNIFFED = "bench/sniffed"


def slice_of_tensor(bench: Bench) -> Iterator[Row]:
    """Some rows of one matrix, by safetensors."""
    middle = bench.model.size // TENSOR // 2
    needed = bytes_for_slice(bench.model)
    known = ask("loaders", "part", bench.model.path, middle)["digest"]

    def read(mount: Mount) -> str:
        got = ask("loaders", "part", mount.directory / REPO / MODEL, middle)["digest"]
        return proofs.equal(got, known, "the slice")

    ours = side("mount", [_downloaded(bench, read) for _ in range(bench.runs)])
    allowed = bound("needed + 8 MiB", needed + 8 * MIB)
    details: dict[str, object] = {"needed": needed}
    name = "downloaded for a tensor's slice / needed + 8 MiB"
    yield Row(SECTION, name, "B", ours, allowed, at_most(1.0), details=details)


def crowd(bench: Bench) -> Iterator[Row]:
    """64 readers of one file, in order and at random, threads of several processes."""
    bench.needs_room(bench.options.size)

    def read(mount: Mount) -> str:
        path = mount.directory / REPO / MODEL
        wrong = ask("readers", "crowd", path, bench.model.path)["wrong"]
        return proofs.equal(wrong, 0, "pieces that 64 readers compared")

    # Once: it is a count, and a long one.
    ours = side("64 readers", [_downloaded(bench, read)])
    size = bound("its size", bench.model.size)
    yield Row(SECTION, "downloaded by 64 readers / size", "B", ours, size, at_most(1.0))


def _downloaded(bench: Bench, read: Callable[[Mount], str]) -> Run:
    """What the hub sent until all is quiet, from the first `stat` on."""
    with mounted(bench.scratch, bench.hub) as mount:
        run("stat", mount.directory / REPO / MODEL)
        bench.hub.forget_traffic()
        proof = read(mount)
        count = bench.hub.traffic().content_bytes
        say(f"downloaded {count / MIB:.1f} MiB")
        return Run(count, proof)


def sniffers(bench: Bench) -> Iterator[Row]:
    """Programs that look at the beginning of each of many large files."""
    count, size = bench.pick(50, 10), bench.pick(512 * MIB, 128 * MIB)
    say(f"making {count} files of {size // MIB} MiB")
    folder = bench.scratch / "sniffed"
    folder.mkdir()
    sources = [
        write_sparse(folder / f"model-{at:05}.safetensors", size, seed=100 + at, every=64 * MIB)
        for at in range(count)
    ]
    with serving(bench.scratch) as hub:
        hub.create_repo(SNIFFED, {source.path.name: source for source in sources})
        for program in (("head", "-c", "100"), ("file", "-b")):
            yield _sniff(bench, hub, sources, program)


def _sniff(bench: Bench, hub: Hub, sources: list[Source], program: tuple[str, ...]) -> Row:
    if not shutil.which(program[0]):
        raise CannotRun(f"{program[0]} is not installed")
    paths = [source.path for source in sources]
    wanted = _said_of(program, paths)
    with mounted(bench.scratch, hub) as mount:
        here = [mount.directory / SNIFFED / path.name for path in paths]
        run("ls", "-l", mount.directory / SNIFFED)
        hub.forget_traffic()
        proof = proofs.equal(_said_of(program, here), wanted, f"what {program[0]} printed")
        each = hub.traffic().content_bytes / len(paths)
    words = " ".join(program)
    say(f"{words}: {each / MIB:.2f} MiB a file")
    needed = _bytes_read_by(program, paths[0])
    allowed = bound("what it reads + 5 MiB", needed + 5 * MIB)
    name = f"downloaded by `{words}`, each of {len(paths)} files / what it reads + 5 MiB"
    details: dict[str, object] = {"needed": needed, "size": sources[0].size}
    ours = side(words, [Run(each, proof)])
    return Row(SECTION, name, "B", ours, allowed, at_most(1.0), details=details)


def _bytes_read_by(program: tuple[str, ...], path: Path) -> int:
    """What a program reads of a file, its own libraries and tables not counted.

    `file` 5.44 for one reads 7 MiB at each end of what it does not recognise.
    """
    script = '"$@" >/dev/null; cat /proc/$$/io'  # the shell's count includes its children's
    counts = [run("sh", "-c", script, "sh", *program, each) for each in (path, "/dev/null")]
    with_file, without = (int(count.split()[1]) for count in counts)
    return with_file - without


def _said_of(program: tuple[str, ...], paths: list[Path]) -> str:
    # A hash, since what they print is bytes, not text.
    script = f'for path; do {" ".join(program)} "$path"; done | sha256sum'
    return run("sh", "-c", script, "sh", *paths)


GROUPS = (slice_of_tensor, crowd, sniffers)
