"""A node that knows many repos: how soon it is mounted, and what a look at every file costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import Bench, say
from scripts.benchmark.hub import Hub, serving
from scripts.benchmark.mounts import Mount, mounted
from scripts.benchmark.names import tree_of
from scripts.benchmark.processes import ask, run
from scripts.benchmark.rows import NotVerified, Row, Run, at_most, bound, interleaved, side
from scripts.benchmark.sources import MIB
from scripts.benchmark.usage import watched

ORGS = 10
FILES = 1000


def many_repos(bench: Bench) -> Iterator[Row]:
    """1,000 repos of 1,000 files each."""
    repos = bench.pick(1000, 100)
    with serving(bench.scratch) as hub, mounted(bench.scratch, hub) as mount:
        _make_known(bench, hub, mount, repos)
        yield from _remount(bench, hub, mount, repos)
        yield _find(mount, repos)


def _make_known(bench: Bench, hub: Hub, mount: Mount, repos: int) -> None:
    names = [_name(at) for at in range(repos)]
    say(f"making {repos} repos of {FILES} files")
    for at, name in enumerate(names):
        hub.create_repo(name, {f"{at}-{path}": content for path, content in tree_of(FILES)})
    say("syncing them")
    listed = bench.scratch / "repos"
    listed.write_text("\n".join(names))
    # The kernel lets one name in a directory be looked up at a time: a thread for each org.
    found = ask("readers", "stats", mount.directory, listed, ORGS, timeout=1200)["found"]
    if found != repos:
        raise NotVerified(f"{found} of {repos} repos are there")


def _name(at: int) -> str:
    return f"org-{at % ORGS}/repo-{at // ORGS}"


def _remount(bench: Bench, hub: Hub, mount: Mount, repos: int) -> Iterator[Row]:
    orgs = "\n".join(f"org-{at}" for at in range(ORGS))
    with mounted(bench.scratch, hub) as blank:
        known, none = interleaved(
            max(bench.runs, 3),
            lambda: _until_ls(mount, f"datasets\n{orgs}\nspaces"),
            lambda: _until_ls(blank, "datasets\nspaces"),
        )
    name = f"remount until `ls`, {repos} known repos ({repos * FILES} files)"
    ours = side("mount", known)
    yield Row("metadata", f"{name} / 1 s", "s", ours, bound("allowed", 1.0), at_most(1.0))
    yield Row("metadata", f"{name} / none known", "s", ours, side("none known", none))


def _until_ls(mount: Mount, wanted: str) -> Run:
    mount.stop()
    started = time.perf_counter()
    mount.start()
    listed = run("ls", mount.directory)
    seconds = time.perf_counter() - started
    say(f"mounted and listed after {seconds:.2f} s")
    return Run(seconds, proofs.equal(listed.strip(), wanted, "the listing"))


def _find(mount: Mount, repos: int) -> Row:
    mount.remount()
    with watched(mount.pids) as use:
        started = time.perf_counter()
        found = _files_in(mount.directory)
        seconds = time.perf_counter() - started
    say(f"find over {found} files: {seconds:.1f} s, {use.resident / MIB:.0f} MiB")
    proof = proofs.equal(found, repos * FILES, "the number of files")
    ours = side("peak resident memory", [Run(use.resident, proof)])
    name = f"resident after `find` over {repos * FILES} files / 600 MiB"
    limit = bound("allowed", 600 * MIB)
    details = use.as_details() | {"seconds": seconds}
    return Row("memory", name, "B", ours, limit, at_most(1.0), use.in_words(), details)


def _files_in(directory: Path) -> int:
    return int(run("sh", "-c", 'find "$0" -type f | wc -l', directory))


GROUPS = (many_repos,)
