"""Names and attributes: a repo of many files, synced before, mounted anew."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import Bench, say, settle
from scripts.benchmark.hub import Hub, serving
from scripts.benchmark.mounts import Mount, mounted
from scripts.benchmark.names import tree_of, write_tree
from scripts.benchmark.processes import ask, run
from scripts.benchmark.rows import CannotRun, Row, Run, at_most, interleaved, side

SECTION = "metadata"
REPO = "bench/files"
ABSENT = 1000


@dataclass(frozen=True)
class Twins:
    """The same tree twice: on ext4 (or what the disk has), and in a synced mount."""

    hub: Hub
    mount: Mount
    native: Path
    names: Path
    count: int

    @property
    def mounted(self) -> Path:
        """The root of the one in the mount."""
        return self.mount.directory / REPO

    def label(self, root: Path) -> str:
        """Which of the two it is."""
        return "native" if root == self.native else "mount"

    def forget_native(self) -> Path:
        """Have the kernel forget names and inodes; the disk's blocks stay in its page cache."""
        settle()
        Path("/proc/sys/vm/drop_caches").write_text("2")
        return self.native

    def forget_mounted(self) -> Path:
        """Mount anew, which forgets even more."""
        self.mount.remount()
        run("stat", self.mounted)
        return self.mounted


@contextlib.contextmanager
def twins(bench: Bench) -> Iterator[Twins]:
    """Make both trees.

    Raises:
        CannotRun: not root, so native names cannot be made cold.
    """
    if os.getuid():
        raise CannotRun("only root can make the kernel forget the native tree's names")
    count = bench.pick(100_000, 10_000)
    say(f"making two trees of {count} files")
    files = dict(tree_of(count))
    native = bench.scratch / "native"
    write_tree(native, files)
    names = bench.scratch / "names"
    some = random.Random(4).sample(sorted(files), count // 10)
    names.write_text("\n".join(some))
    with serving(bench.scratch) as hub:
        hub.create_repo(REPO, files)
        with mounted(bench.scratch, hub) as mount:
            run("stat", mount.directory / REPO)
            yield Twins(hub, mount, native, names, count)
    run("rm", "-rf", native)


def listing(bench: Bench) -> Iterator[Row]:
    """`find`, lookups and opens with nothing in the kernel's caches; requests that they cost."""
    with twins(bench) as both:
        yield from _find(bench, both, "find", ())
        yield from _find(bench, both, "find with sizes", ("-printf", "%P %s\\n"))
        yield from _one_by_one(bench, both)
        yield _requests(both)


def _find(bench: Bench, both: Twins, name: str, more: tuple[str, ...]) -> Iterator[Row]:
    wanted = _names_and_sizes(both.native)

    def once(forget: Callable[[], Path]) -> Run:
        root = forget()
        started = time.perf_counter()
        run("sh", "-c", 'exec find "$@" >/dev/null', "find", root, *more)
        seconds = time.perf_counter() - started
        say(f"{name}, {both.label(root)}: {seconds:.2f} s")
        proof = proofs.equal(_names_and_sizes(root), wanted, "every name and size")
        return Run(seconds, proof)

    ours, native = interleaved(
        bench.runs, lambda: once(both.forget_mounted), lambda: once(both.forget_native)
    )
    target = None if more else at_most(15)
    title = f"`{name}` over {both.count} files, remounted / native"
    yield Row(SECTION, title, "s", side("mount", ours), side("native", native), target)


def _names_and_sizes(root: Path) -> str:
    script = r'find "$0" -type f -printf "%P %s\n" | LC_ALL=C sort | sha256sum'
    return run("sh", "-c", script, root)


def _one_by_one(bench: Bench, both: Twins) -> Iterator[Row]:
    for program, what in (("stats", "lookups a second"), ("opens", "open and close a second")):
        ours, native = interleaved(
            bench.runs,
            partial(_rate, both, program, both.forget_mounted),
            partial(_rate, both, program, both.forget_native),
        )
        title = f"{what}: mount / native"
        yield Row(SECTION, title, "/s", side("mount", ours), side("native", native))


def _rate(both: Twins, program: str, forget: Callable[[], Path]) -> Run:
    root = forget()
    got = ask("readers", program, root, both.names)
    rate = (both.count // 10) / got["seconds"]
    say(f"{program}, {both.label(root)}: {rate:.0f}/s")
    wanted = ask("readers", program, both.native, both.names)["digest"]
    return Run(rate, proofs.equal(got["digest"], wanted, "sizes"))


def _requests(both: Twins) -> Row:
    """Everything that is known costs no request, and so does everything that is not there."""
    absent = both.names.with_name("absent")
    names = [f"data/part-{at % 10:04}/absent-{at}" for at in range(ABSENT)]
    absent.write_text("\n".join(names))
    both.mount.remount()
    both.hub.forget_traffic()
    proof = proofs.equal(
        _names_and_sizes(both.mounted), _names_and_sizes(both.native), "every name and size"
    )
    found = ask("readers", "stats", both.mounted, absent)["found"]
    proof += ", " + proofs.equal(found, 0, "absent names")
    requests = both.hub.traffic().requests
    asked = both.count + ABSENT
    title = f"requests for `find` and {ABSENT} absent names / names"
    reference = side("names asked for", [Run(asked, proof)])
    return Row(SECTION, title, "", side("requests", [Run(requests, proof)]), reference, at_most(0))


GROUPS = (listing,)
