"""Warm reads: the blob is on disk and in the page cache, hubfs has been mounted anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import MODEL, REPO, Bench, say, warm
from scripts.benchmark.cold import megabytes
from scripts.benchmark.mounts import Mount, has_option, mounted
from scripts.benchmark.processes import CommandFailed, ask, dd, run
from scripts.benchmark.rclone import Rclone, warm_rclone
from scripts.benchmark.rows import CannotRun, Row, Run, Target, at_least, interleaved, side
from scripts.benchmark.sources import PAGE, Source

SECTION = "warm"
PREADS = 10_000
Reader = Callable[[Path, Source], Run]
"""Reads a file that is as `source`."""


@dataclass(frozen=True)
class Mode:
    """A way for the daemon to serve; `options` choose it."""

    name: str
    options: tuple[str, ...] = ()
    is_passthrough: bool = False


PASSTHROUGH = Mode("passthrough", ("--passthrough", "on"), is_passthrough=True)
BY_DAEMON = Mode("no passthrough", ("--passthrough", "off"))


@dataclass(frozen=True)
class Warm:
    """A mount whose cache has the model, in the modes that are to be had."""

    bench: Bench
    mount: Mount
    blob: Path
    modes: tuple[Mode, ...]

    def native(self, reader: Reader) -> Callable[[], Run]:
        """Read the blob itself."""
        return lambda: self._read(self.blob, reader, "native")

    def mounted(self, reader: Reader, mode: Mode) -> Callable[[], Run]:
        """Read it through a mount whose pages the kernel does not know yet."""
        return lambda: self._through_mount(reader, mode)

    def rclone(self, rclone: Rclone, reader: Reader) -> Callable[[], Run]:
        """Read it through rclone, mounted anew too."""
        return lambda: self._through_rclone(rclone, reader)

    def _through_mount(self, reader: Reader, mode: Mode) -> Run:
        self.mount.remount(*mode.options)
        path = self.mount.directory / REPO / MODEL
        run("stat", path)
        return self._read(path, reader, mode.name)

    def _through_rclone(self, rclone: Rclone, reader: Reader) -> Run:
        with rclone.mounted() as path:
            run("stat", path)
            return self._read(path, reader, "rclone")

    def _read(self, path: Path, reader: Reader, label: str) -> Run:
        warm(self.blob)
        found = reader(path, self.bench.model)
        say(f"{reader.__name__.replace('_', ' ').strip()}, {label}: {found.value:.0f}")
        return found


# --- ways to read --------------------------------------------------------------------


def in_order(path: Path, source: Source) -> Run:
    """From beginning to end; afterwards all of it is compared."""
    speed = megabytes(source.size, dd(path, source.size))
    return Run(speed, proofs.whole(path, source))


def again(path: Path, source: Source) -> Run:
    """A second time, from the kernel's page cache."""
    dd(path, source.size)
    return Run(megabytes(source.size, dd(path, source.size)), proofs.samples(path, source))


def mapped(path: Path, source: Source) -> Run:
    """A byte of each page of a mapping."""
    got, wanted = (ask("readers", "touch", each) for each in (path, source.path))
    proof = proofs.equal(got["digest"], wanted["digest"], "a byte of each page")
    return Run(megabytes(source.size, got["seconds"]), proof)


def scattered(path: Path, source: Source) -> Run:
    """Pages at random."""
    got, wanted = (ask("readers", "preads", each, PREADS) for each in (path, source.path))
    proof = proofs.equal(got["digest"], wanted["digest"], f"{PREADS} pages of {PAGE} bytes")
    return Run(PREADS / got["seconds"], proof)


# --- rows ----------------------------------------------------------------------------

TARGETS: dict[tuple[Reader, bool], Target] = {
    (in_order, True): at_least(0.95),
    (mapped, True): at_least(0.90),
    (again, True): at_least(0.95),
    (again, False): at_least(0.95),
}
READERS: tuple[tuple[Reader, str, str], ...] = (
    (in_order, "sequential", "MB/s"),
    (mapped, "mmap, each page touched", "MB/s"),
    (again, "read again, from the page cache", "MB/s"),
    (scattered, "random 4 KiB preads", "/s"),
)


def beside_native(bench: Bench) -> Iterator[Row]:
    """The mount beside its own blob, with each way to serve it."""
    # These runs last a tenth of a second, so that anything else on the machine spoils one.
    runs_of_each = bench.pick(bench.runs + 2, bench.runs)
    with warmed(bench) as found:
        for reader, name, unit in READERS:
            ways = [found.mounted(reader, mode) for mode in found.modes]
            native, *ours = interleaved(runs_of_each, found.native(reader), *ways)
            blob = side("the blob", native)
            for mode, runs in zip(found.modes, ours, strict=True):
                target = TARGETS.get((reader, mode.is_passthrough))
                title = f"{name}: {mode.name} / native"
                yield Row(SECTION, title, unit, side(mode.name, runs), blob, target)


def beside_rclone(bench: Bench) -> Iterator[Row]:
    """The mount without passthrough beside rclone's, which has none."""
    with warmed(bench) as found, warm_rclone(bench.scratch, bench.model) as rclone:
        mode = next(each for each in found.modes if not each.is_passthrough)
        ours, theirs = interleaved(
            bench.runs, found.mounted(in_order, mode), found.rclone(rclone, in_order)
        )
        reference = side("rclone, VFS cache full", theirs)
        title = f"sequential: {mode.name} / rclone mount"
        yield Row(SECTION, title, "MB/s", side(mode.name, ours), reference, at_least(1.5))


def passthrough(bench: Bench) -> Iterator[Row]:
    """Say so when the rows that matter most will be missing; yields none itself."""
    if not has_option("--passthrough"):
        raise CannotRun("`hubfs mount` has no --passthrough here: its rows are left out")
    try:
        with mounted(bench.scratch, bench.hub, *PASSTHROUGH.options):
            yield from ()
    except CommandFailed as error:
        raise CannotRun(f"its rows are left out: {error}") from error


@contextlib.contextmanager
def warmed(bench: Bench) -> Iterator[Warm]:
    """A mount that has read the whole model; it is left mounted in no special mode."""
    bench.needs_room(2 * bench.options.size)
    with mounted(bench.scratch, bench.hub) as mount:
        dd(mount.directory / REPO / MODEL, bench.model.size)
        blob = mount.wait_for_blob(bench.model)
        yield Warm(bench, mount, blob, tuple(_modes(mount)))


def _modes(mount: Mount) -> Iterator[Mode]:
    if not has_option("--passthrough"):
        yield Mode("no passthrough")
        return
    with contextlib.suppress(CommandFailed):  # said by `passthrough`
        mount.remount(*PASSTHROUGH.options)
        yield PASSTHROUGH
    yield BY_DAEMON


GROUPS = (passthrough, beside_native, beside_rclone)
