"""Verification as a job: of a store that things happen to, on a local Hub."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
import trio

from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind
from hubfs.model.content import MIB
from hubfs.store.records import JobRecord
from tests.jobs import rig
from tests.localhub import LocalHub

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "one.safetensors": random.Random(1).randbytes(3 * MIB),
    "two.safetensors": random.Random(2).randbytes(2 * MIB),
    "three.safetensors": random.Random(3).randbytes(MIB),
}
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    hub.create_repo("acme/model", FILES)
    return hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def verify(repo: str = "", revision: str = "", *, repair: bool = False, threads: int = 2) -> Wanted:
    arguments = {"repo": repo, "revision": revision, "repair": repair, "threads": threads}
    return Wanted(JobKind.VERIFY, arguments)


async def fill(engine: Any) -> None:
    job = await engine.jobs.submit(rig.download("acme/model"))
    assert (await rig.ended(engine.jobs, job.id)).state == "completed"


async def verified(engine: Any, wanted: Wanted) -> JobRecord:
    job = await engine.jobs.submit(wanted)
    return await rig.ended(engine.jobs, job.id)


def blobs(cache: Path) -> dict[int, Path]:
    """The blobs by their size, smallest first."""
    found = {path.stat().st_size: path for path in cache.glob("blobs/sha256/*/*")}
    return dict(sorted(found.items()))


def flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"!")
    path.chmod(0o444)


def make_endless(path: Path) -> None:
    """Let no look at it come to an end before the process does."""
    path.chmod(0o644)
    os.truncate(path, 1 << 42)


def spoil(cache: Path) -> None:
    """Do something to each of the four blobs, and to what is beside them."""
    config, three, two, one = blobs(cache).values()
    config.chmod(0o600)
    three.unlink()
    os.truncate(two, 1000)
    flip(one)
    (one.parent / "note.txt").write_text("mine")
    (cache / "partial/stray").write_text("nothing")


async def test_a_sound_cache_is_clean(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        done = await verified(engine, verify())
        assert (done.state, done.result["found"], done.result["findings"]) == ("completed", {}, [])
        assert (done.files, done.files_total, done.size, done.size_total) == (4, 4, SIZE, SIZE)
        lines = [line.text for line in await engine.jobs.lines(done.id)]
        assert lines[-2:] == ["nothing is wrong", "completed"]


async def test_whatever_is_wrong_is_found_told_and_put_right(
    hub: LocalHub, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        spoil(cache)
        done = await verified(engine, verify())
        assert done.state == "completed"
        names = ("corrupt", "cut", "missing", "mode", "stranger", "stray partial")
        assert done.result["found"] == dict.fromkeys(names, 1)
        assert (done.result["put_right"], done.result["left"]) == (6, 0)
        assert len(list((cache / "bad").iterdir())) == done.result["set_aside"] == 3
        told = {each["flaw"]: each["file"] for each in done.result["findings"]}
        # People know files by path.
        assert told["corrupt"].startswith("acme/model@")
        assert [told[name].rpartition("/")[2] for name in ("corrupt", "cut", "missing")] == [
            "one.safetensors",
            "two.safetensors",
            "three.safetensors",
        ]
        assert sum("set aside" in each.message for each in caplog.records) == 3
        assert (await verified(engine, verify())).result["found"] == {}
        before = hub.log.content_bytes()
        await fill(engine)
        assert hub.log.content_bytes() == before + 6 * MIB
        assert (await verified(engine, verify("acme/model"))).files == 4


async def test_a_repair_fetches_what_was_lost_from_wherever_it_is(
    hub: LocalHub, cache: Path
) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        spoil(cache)
        before = hub.log.content_bytes()
        done = await verified(engine, verify(repair=True))
        assert done.state == "completed"
        assert done.result["refetched"] == 3
        assert hub.log.content_bytes() == before + 6 * MIB
        assert {len(data) for data in FILES.values()} == set(blobs(cache))
        # The findings say so, and the job is no longer in the middle of anything.
        assert [each["remedy"] for each in done.result["findings"]].count("fetched again") == 3
        assert "after" not in done.result
        assert (await verified(engine, verify())).result["found"] == {}


async def test_what_cannot_be_fetched_again_is_left(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        flip(blobs(cache)[3 * MIB])
    hub.down()
    async with rig.engine(hub, cache, patience=0.5, idle_timeout=0.5) as engine:
        done = await verified(engine, verify(repair=True))
        assert (done.state, done.error) == ("failed", "1 error is left")
        assert (done.result["left"], done.result["put_right"]) == (1, 0)
        assert list(done.failures) == ["one.safetensors"]
        assert "not fetched again" in done.result["findings"][0]["remedy"]


async def test_the_blobs_of_a_repo_are_verified_alone(hub: LocalHub, cache: Path) -> None:
    hub.create_repo("acme/other", {"other.bin": random.Random(9).randbytes(4 * MIB)})
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        other = await engine.jobs.submit(rig.download("acme/other"))
        await rig.ended(engine.jobs, other.id)
        flip(blobs(cache)[4 * MIB])
        (cache / "partial/stray").write_text("nothing")
        done = await verified(engine, verify("acme/model"))
        assert (done.files, done.result["found"]) == (4, {})
        done = await verified(engine, verify("acme/other"))
        assert (done.files, done.result["found"]) == (1, {"corrupt": 1})


@pytest.mark.parametrize(
    ("repo", "revision", "reason"),
    [("acme/none", "", "is not known here"), ("acme/model", "v9", "acme/model@v9 are not known")],
)
async def test_what_is_not_known_cannot_be_verified(
    hub: LocalHub, cache: Path, repo: str, revision: str, reason: str
) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        done = await verified(engine, verify(repo, revision))
        assert done.state == "failed"
        assert reason in done.error
        assert done.attempts == 1


async def test_a_verification_that_is_broken_off_goes_on_where_it_was(
    hub: LocalHub, cache: Path
) -> None:
    """Neither a finding nor the work is lost with the process."""
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        first, *_, last = sorted(blobs(cache).values(), key=lambda path: path.name)
        first.unlink()
        make_endless(last)
        job = await engine.jobs.submit(verify(threads=1))
        with trio.fail_after(rig.PATIENCE), engine.jobs.watching() as watcher:
            while engine.jobs.find(job.id).files < 3:
                await watcher.changes()
    os.truncate(last, 1000)
    async with rig.engine(hub, cache) as engine:
        done = await rig.ended(engine.jobs, job.id)
        assert done.state == "completed"
        assert done.result["found"] == {"missing": 1, "cut": 1}
        lines = [line.text for line in await engine.jobs.lines(job.id)]
        assert "going on after 2 blobs" in lines


async def test_a_verification_that_is_called_off_ends_at_once(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        make_endless(blobs(cache)[3 * MIB])
        job = await engine.jobs.submit(verify())
        with trio.fail_after(rig.PATIENCE), engine.jobs.watching() as watcher:
            while engine.jobs.find(job.id).size < 32 * MIB:
                await watcher.changes()
        with trio.fail_after(5):
            assert (await engine.jobs.cancel(job.id)).state == "cancelled"
        assert (cache / "bad").exists() is False


async def test_a_partial_that_is_being_filled_is_no_stray(hub: LocalHub, cache: Path) -> None:
    hub.bandwidth = 4 * MIB
    async with rig.engine(hub, cache) as engine:
        job = await engine.jobs.submit(rig.download("acme/model"))
        await rig.until_moved(engine.jobs, job.id)
        (cache / "partial/stray").write_text("nothing")
        done = await verified(engine, verify())
        assert done.result["found"] == {"stray partial": 1}
        hub.bandwidth = None
        assert (await rig.ended(engine.jobs, job.id)).state == "completed"
