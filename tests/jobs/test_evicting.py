"""Room made on purpose: what goes, what stays, and what is said of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from hubfs.budget.sharing import digest_of
from hubfs.daemon.engine import Engine
from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind
from hubfs.model.content import MIB
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.pins import Pins
from hubfs.store.records import JobRecord, PinRecord
from tests.budget.rig import budget, taken
from tests.fetch.rig import listed
from tests.fetch.samples import sample
from tests.jobs.rig import UNBOUNDED, download, ended, engine, sync
from tests.localhub import File, LocalHub

ONE = {"a.bin": sample(MIB, seed=1), "shared.bin": sample(MIB, seed=2), "README.md": b"# one"}
TWO = {"b.bin": sample(MIB, seed=3), "shared.bin": sample(MIB, seed=2), "README.md": b"# two"}
REPO = RepoId(RepoKind.MODEL, "acme/one")


def files(bodies: dict[str, bytes]) -> dict[str, File]:
    return {name: File(data, lfs=len(data) >= MIB) for name, data in bodies.items()}


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    hub.create_repo("acme/one", files(ONE))
    hub.create_repo("acme/two", files(TWO))
    return hub


@asynccontextmanager
async def filled(hub: LocalHub, cache: Path) -> AsyncIterator[Engine]:
    """An engine with all of both repos."""
    async with engine(hub, cache) as made:
        for repo in ("acme/one", "acme/two"):
            job = await made.jobs.submit(download(repo))
            assert (await ended(made.jobs, job.id)).state == "completed"
        yield made


async def evict(made: Engine, **arguments: Any) -> JobRecord:
    wish = {"to": None, "repo": "", "revision": "", "force": False, "dry_run": False}
    job = await made.jobs.submit(Wanted(JobKind.EVICT, wish | arguments))
    return await ended(made.jobs, job.id)


def is_here(made: Engine, hub: LocalHub, repo: str, name: str) -> bool:
    return made.store.blobs.find(listed(hub, repo, name)[0]) is not None


def going(job: JobRecord) -> list[str]:
    return [each["name"] for each in job.result["going"]]


# --- gc --------------------------------------------------------------------------------


async def test_room_is_made_down_to_a_size_and_said_before(hub: LocalHub, tmp_path: Path) -> None:
    async with filled(hub, tmp_path) as made:
        before = taken(tmp_path)
        told = await evict(made, to=2 * MIB, dry_run=True)
        assert taken(tmp_path) == before
        done = await evict(made, to=2 * MIB)
        assert going(done) == going(told)
        assert set(going(done)) <= {f"acme/one/{name}" for name in ONE}
        assert taken(tmp_path) == made.evictor.figures().taken <= 2 * MIB
        assert (done.result["items"], done.result["short"]) == (len(going(done)), 0)
        assert is_here(made, hub, "acme/two", "b.bin")
        lines = [line.text for line in await made.jobs.lines(done.id)]
        assert any("are deleted" in line for line in lines)


async def test_what_is_pinned_or_open_is_not_collected(hub: LocalHub, tmp_path: Path) -> None:
    async with filled(hub, tmp_path) as made:
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one", pattern="*.md"))
        opened = made.fetcher.open(*listed(hub, "acme/two", "b.bin"))
        done = await evict(made, to=0)
        assert done.result["short"] > 0
        assert is_here(made, hub, "acme/one", "README.md")
        assert is_here(made, hub, "acme/two", "b.bin")
        assert made.store.ledger.totals().blobs == 2
        made.fetcher.release(opened)


async def test_a_pin_moves_on_with_its_branch_and_keeps_its_commit(
    hub: LocalHub, tmp_path: Path
) -> None:
    """A pin means what its names mean, also when a branch moves on; it fetches no file."""
    first = hub.repo("acme/one").head.oid
    async with filled(hub, tmp_path) as made:
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one", pattern="a.bin"))
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one", first, "README.md"))
        hub.push("acme/one", files({"a.bin": sample(MIB, seed=7), "README.md": b"# new"}))
        job = await made.jobs.submit(download("acme/one"))
        await ended(made.jobs, job.id)
        await evict(made, to=0)
        assert is_here(made, hub, "acme/one", "a.bin")  # of the new commit
        assert not is_here(made, hub, "acme/one", "README.md")
        left = {item.oid or item.name[1:] for item in made.store.ledger.oldest()}
        pinned = {each for match in made.evictor.pinned.matches.values() for each in match.contents}
        assert left == {digest_of(content) for content in pinned}
        assert len(left) == 2


async def test_old_commits_are_forgotten_once_nobody_can_use_their_numbers(
    hub: LocalHub, tmp_path: Path
) -> None:
    old = hub.repo("acme/one").head.oid
    async with filled(hub, tmp_path / "cache") as made:
        hub.push("acme/one", files({"new.txt": b"new"}))
        await ended(made.jobs, (await made.jobs.submit(sync("acme/one"))).id)
        # It was listed in this life: the kernel may know its inodes.
        assert (await evict(made)).result["snapshots"] == 0
        number = made.catalog.peek_snapshot(REPO, old)
    async with engine(hub, tmp_path / "cache") as made:
        assert (await evict(made)).result["snapshots"] == 1
        assert made.catalog.snapshots(REPO) == [hub.repo("acme/one").head.oid]
        assert number is not None
        assert made.catalog.find_listing(number.number, 1) is None
        await ended(made.jobs, (await made.jobs.submit(sync(f"{REPO}", 0))).id)
        found = await made.syncer.ensure(REPO, old)
        assert getattr(found, "snapshot", None) == number  # the same inodes as before


# --- rm --------------------------------------------------------------------------------


async def test_a_repo_is_forgotten_with_what_only_it_has(hub: LocalHub, tmp_path: Path) -> None:
    async with filled(hub, tmp_path) as made:
        told = await evict(made, repo="acme/one", dry_run=True)
        assert made.catalog.find_repo(REPO) is not None
        done = await evict(made, repo="acme/one")
        assert set(going(told)) == set(going(done)) == {"acme/one/a.bin", "acme/one/README.md"}
        assert done.result["shared"] == 1
        assert made.catalog.find_repo(REPO) is None
        assert made.catalog.refs(REPO) == []
        assert not is_here(made, hub, "acme/one", "a.bin")
        assert all(is_here(made, hub, "acme/two", name) for name in TWO)
        again = await evict(made, repo="acme/one")
        assert again.error == "acme/one is not known here"
        await ended(made.jobs, (await made.jobs.submit(download("acme/one"))).id)
        assert all(is_here(made, hub, "acme/one", name) for name in ONE)


async def test_what_is_pinned_or_open_is_only_forgotten_by_force(
    hub: LocalHub, tmp_path: Path
) -> None:
    """Forced or not.

    `hubfs rm` deletes only what no other known repo has, and refuses what is pinned or open.
    With `--force`, who has a file open goes on reading it.
    """
    async with filled(hub, tmp_path) as made:
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one"))
        opened = made.fetcher.open(*listed(hub, "acme/one", "a.bin"))
        refused = await evict(made, repo="acme/one")
        assert (refused.error, refused.state) == ("acme/one is pinned", "failed")
        assert "hubfs unpin acme/one" in refused.hint
        Pins(made.store.index).drop(PinRecord(hub.endpoint, "acme/one"))
        refused = await evict(made, repo="acme/one")
        assert refused.error == "1 files of acme/one are open"
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one"))
        done = await evict(made, repo="acme/one", force=True)
        assert done.state == "completed"
        assert Pins(made.store.index).all() == []
        assert not is_here(made, hub, "acme/one", "a.bin")
        assert await trio.to_thread.run_sync(_whole, opened.descriptor) == ONE["a.bin"]
        made.fetcher.release(opened)


def _whole(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


async def test_one_revision_is_forgotten_and_the_others_stay(hub: LocalHub, tmp_path: Path) -> None:
    hub.repo("acme/one").move("refs/heads/old", hub.repo("acme/one").head.oid)
    hub.push("acme/one", files({"a.bin": sample(MIB, seed=7)}))
    async with engine(hub, tmp_path) as made:
        for revision in ("", "old"):
            wish = Wanted(
                JobKind.DOWNLOAD,
                {"repo": "acme/one", "revision": revision, "include": [], "exclude": []},
            )
            await ended(made.jobs, (await made.jobs.submit(wish)).id)
        done = await evict(made, repo="acme/one", revision="old")
        assert going(done) == ["acme/one/a.bin"]
        assert made.catalog.refs(REPO) == [""]
        assert all(is_here(made, hub, "acme/one", name) for name in ONE)
        missing = await evict(made, repo="acme/one", revision="old")
        assert missing.error == "acme/one is not known at old"


# --- what cannot fit -------------------------------------------------------------------


async def test_a_download_that_cannot_fit_is_refused_with_the_sizes(
    hub: LocalHub, tmp_path: Path
) -> None:
    """Told before a byte comes.

    A download that cannot fit beside what is pinned or open is refused, and told the sizes.
    """
    async with engine(hub, tmp_path, budget=budget(2.5)) as made:
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one"))
        await ended(made.jobs, (await made.jobs.submit(download("acme/one"))).id)
        hub.log.clear()
        refused = await ended(made.jobs, (await made.jobs.submit(download("acme/two"))).id)
        assert refused.state == "failed"
        # One of its two large files is pinned, and here, by another name.
        assert refused.error.startswith("acme/two does not fit: 1.0 MiB are wanted, and at most ")
        assert refused.error.endswith(" can be here beside 2.0 MiB pinned or open")
        assert hub.log.content_bytes() == 0


async def test_what_is_pinned_and_not_here_counts_as_wanted(hub: LocalHub, tmp_path: Path) -> None:
    async with engine(hub, tmp_path, budget=budget(1.5)) as made:
        await made.syncer.refresh(RepoId(RepoKind.MODEL, "acme/one"), "")
        Pins(made.store.index).put(PinRecord(hub.endpoint, "acme/one"))
        refused = await ended(made.jobs, (await made.jobs.submit(download("acme/one"))).id)
        assert refused.error.startswith("acme/one does not fit: 2.0 MiB are wanted, and at most ")
        assert hub.log.content_bytes() == 0


async def test_a_download_that_fits_makes_its_room(hub: LocalHub, tmp_path: Path) -> None:
    assert UNBOUNDED.size.of(1 << 40) is None
    async with engine(hub, tmp_path, budget=budget(2.5)) as made:
        for repo, bodies in (("acme/one", ONE), ("acme/two", TWO)):
            job = await ended(made.jobs, (await made.jobs.submit(download(repo))).id)
            assert job.state == "completed"
            assert all(is_here(made, hub, repo, name) for name in bodies)
            assert taken(tmp_path) <= 2.5 * MIB
