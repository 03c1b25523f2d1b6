"""A cache as years leave it beside a young one: nothing that is done often may cost more."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hubfs.budget import policy
from hubfs.model.content import Content
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import TreeBuilder, TreeFile
from hubfs.store.catalog import Catalog
from hubfs.store.records import RepoRecord
from hubfs.store.store import Store
from scripts.benchmark import proofs
from scripts.benchmark.bench import Bench, say
from scripts.benchmark.hub import Hub, serving
from scripts.benchmark.mounts import HUBFS, Mount, mounted
from scripts.benchmark.names import tree_of
from scripts.benchmark.processes import ask, run
from scripts.benchmark.rows import Row, Run, at_most, bound, interleaved, side
from scripts.benchmark.sources import MIB
from scripts.benchmark.usage import watched

SECTION = "metadata"
FILES = 1000
FLAT = "aged/flat"
NAMES = 500
EVICTED = 100
GC_WITHIN = 30.0


@dataclass(frozen=True)
class Age:
    """How much a cache knows: repos of `FILES` files, names in one directory, complete blobs."""

    repos: int
    flat: int
    blobs: int

    def __str__(self) -> str:
        files = self.repos * FILES + self.flat
        return f"{self.repos} repos, {files} files, {self.blobs} blobs"


YOUNG = Age(10, 10_000, 1000)


def aged(bench: Bench) -> Iterator[Row]:
    """An old cache, of 2,000,000 files in 1,001 repos and 100,000 blobs, and a young one."""
    age = Age(bench.pick(1000, 100), bench.pick(1_000_000, 100_000), bench.pick(100_000, 10_000))
    with serving(bench.scratch) as hub, _filled(bench, hub, age) as old:
        with _filled(bench, hub, YOUNG) as young:
            for name, (once, most) in _LOOKS.items():
                ours, other = interleaved(
                    max(bench.runs, 3), partial(once, old, age), partial(once, young, YOUNG)
                )
                title, note = f"{name}: an old cache / a young one", f"{age} / {YOUNG}"
                sides = side("old", ours), side("young", other)
                yield Row(SECTION, title, "s", *sides, at_most(most), note)
        yield _find(old, age)
        yield _collect(bench, old, age)


@contextlib.contextmanager
def _filled(bench: Bench, hub: Hub, age: Age) -> Iterator[Mount]:
    with mounted(bench.scratch, hub, "--offline") as mount:
        mount.stop()
        say(f"writing an index of {age}")
        _fill(mount.cache, hub.endpoint, age)
        mount.start("--offline")
        yield mount


def _fill(cache: Path, endpoint: str, age: Age) -> None:
    """By the store's own hands, since a hub would take an hour for it."""
    store = Store(cache)
    try:
        catalog = store.catalog(endpoint)
        for at in range(age.repos):
            _put(catalog, f"org-{at % 10}/repo-{at // 10}", [path for path, _ in tree_of(FILES)])
        _put(catalog, FLAT, [f"all/image-{at:07}.jpg" for at in range(age.flat)])
        contents = [_content(at) for at in range(age.blobs)]
        for at in range(0, len(contents), 5000):
            some = contents[at : at + 5000]
            for each in some:
                _write(store, each)
            store.blobs.record_all([(each.sha256 or "", each) for each in some])
    finally:
        store.close()


def _write(store: Store, content: Content) -> None:
    """A blob's file, of the right size; nobody reads what is in it."""
    path = store.blobs.path(content.sha256 or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(content.size))


def _put(catalog: Catalog, name: str, paths: list[str]) -> None:
    repo, commit, builder = RepoId(RepoKind.MODEL, name), _digest(name), TreeBuilder()
    for at, path in enumerate(paths):
        builder.add(TreeFile(path, 1000 + at, _digest(f"{name}/{path}")))
    catalog.put_snapshot(repo, commit, builder, 1e9)
    catalog.put_repo(repo, RepoRecord(name, synced_at=time.time()))
    catalog.put_ref(repo, "", commit, time.time())


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _content(at: int) -> Content:
    return Content(1000 + at, sha256=hashlib.sha256(str(at).encode()).hexdigest())


# --- looks -----------------------------------------------------------------------------


def _until_ls(mount: Mount, age: Age) -> Run:
    mount.stop()
    started = time.perf_counter()
    mount.start("--offline")
    listed = run("ls", mount.directory).split()
    seconds = time.perf_counter() - started
    orgs = {f"org-{at}" for at in range(min(10, age.repos))} | {"aged", "datasets", "spaces"}
    return Run(seconds, proofs.equal(set(listed), orgs, "the listing"))


def _names(mount: Mount, age: Age) -> Run:
    """Names all over the largest directory, when nobody has looked into it yet."""
    mount.remount("--offline")
    directory, names = mount.directory / FLAT / "all", mount.cache.with_name("names")
    some = range(0, age.flat, age.flat // NAMES)
    names.write_text("\n".join(f"image-{at:07}.jpg" for at in some))
    got = ask("readers", "stats", directory, names)
    return Run(got["seconds"], proofs.equal(got["found"], len(some), "the number of names"))


def _status(mount: Mount, age: Age) -> Run:
    started = time.perf_counter()
    told = run(HUBFS, "status", "--cache-dir", mount.cache)
    seconds = time.perf_counter() - started
    repos = next(line.split()[1] for line in told.splitlines() if line.startswith("repos"))
    return Run(seconds, proofs.equal(int(repos), age.repos + 1, "the number of repos"))


def _evict(mount: Mount, age: Age) -> Run:
    """What is done whenever room is needed: choose what was used longest ago, and delete it."""
    mount.stop()
    store = Store(mount.cache)
    try:
        started = time.perf_counter()
        choice = policy.choose(store.ledger.oldest(), 1 << 62, lambda _: False, EVICTED)
        store.leaving.mark([item.name for item in choice.going])
        store.eviction.carry_out(choice.going)
        seconds = time.perf_counter() - started
        left = store.ledger.totals().blobs
    finally:
        store.close()
    mount.start("--offline")
    gone = len(list(_missing(mount.cache, age)))
    return Run(seconds, proofs.equal(left, age.blobs - gone, "the number of blobs left"))


def _missing(cache: Path, age: Age) -> Iterator[str]:
    """The blobs that are no more."""
    here = {path.name for path in (cache / "blobs/sha256").glob("*/*")}
    names = (_content(at).sha256 or "" for at in range(age.blobs))
    return (name for name in names if name not in here)


# Each blob that goes is on pages of its own in a large index, and shares them in a small one.
_LOOKS: dict[str, tuple[Callable[[Mount, Age], Run], float]] = {
    "mount until `ls`": (_until_ls, 2.0),
    f"{NAMES} names in the largest directory, remounted": (_names, 2.0),
    "`hubfs status`": (_status, 2.0),
    f"evicting {EVICTED} blobs": (_evict, 5.0),
}


def _find(mount: Mount, age: Age) -> Row:
    mount.remount("--offline")
    with watched(mount.pids) as use:
        started = time.perf_counter()
        found = int(run("sh", "-c", 'find "$0" -type f | wc -l', mount.directory))
        seconds = time.perf_counter() - started
    proof = proofs.equal(found, age.repos * FILES + age.flat, "the number of files")
    say(f"find over {found} files: {seconds:.1f} s, {use.resident / MIB:.0f} MiB")
    name = f"resident after `find` over {found} files, half of them in one directory / 600 MiB"
    ours, limit = (
        side("peak resident memory", [Run(use.resident, proof)]),
        bound("allowed", 600 * MIB),
    )
    details = use.as_details() | {"seconds": seconds}
    return Row("memory", name, "B", ours, limit, at_most(1.0), use.in_words(), details)


def _collect(bench: Bench, mount: Mount, age: Age) -> Row:
    """`hubfs gc`, which compares index and disk, and nobody waits for."""

    def once() -> Run:
        started = time.perf_counter()
        told = json.loads(run(HUBFS, "gc", "--json", "--cache-dir", mount.cache))
        seconds = time.perf_counter() - started
        result = told["result"]
        found = [result[each] for each in ("entered", "forgotten", "items")]
        return Run(seconds, proofs.equal(found, [0, 0, 0], "what gc found"))

    runs = [once() for _ in range(bench.runs)]
    title = f"`hubfs gc`: an old cache / {GC_WITHIN:.0f} s"
    return Row(
        SECTION, title, "s", side("old", runs), bound("allowed", GC_WITHIN), at_most(1), f"{age}"
    )


GROUPS = (aged,)
