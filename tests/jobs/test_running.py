"""Jobs that sync and download, on a real store and a local Hub."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from hubfs.control.roles import Role
from hubfs.errors import WrongJobState
from hubfs.jobs.files import repo_named
from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind
from hubfs.jobs.transport import AT_ONCE
from hubfs.model.content import MIB
from hubfs.store.records import pack
from tests.fetch.rig import until
from tests.jobs import rig
from tests.localhub import Fault, LocalHub

SAME = random.Random(1).randbytes(9 * MIB)
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "README.md": b"# a model",
    "model-00001.safetensors": SAME,
    "copy/model-00001.safetensors": SAME,
    "model-00002.safetensors": random.Random(2).randbytes(3 * MIB),
    "pytorch_model.bin": random.Random(3).randbytes(1 * MIB),
}


async def test_a_download_brings_the_chosen_files_once_each(hub: LocalHub, tmp_path: Path) -> None:
    hub.create_repo("acme/model", FILES)
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.download("acme/model", "*.safetensors"))
        done = await rig.ended(engine.jobs, job.id)
        assert (done.state, done.error) == ("completed", "")
        # Two paths hold the same bytes: counted once, fetched once.
        assert (done.files, done.files_total) == (2, 2)
        assert (done.size, done.size_total) == (12 * MIB, 12 * MIB)
        assert hub.log.content_bytes() == 12 * MIB
        again = await engine.jobs.submit(rig.download("acme/model", "*.safetensors"))
        assert again.id > job.id
        assert (await rig.ended(engine.jobs, again.id)).size == 12 * MIB
        assert hub.log.content_bytes() == 12 * MIB
        texts = [line.text for line in await engine.jobs.lines(job.id)]
        assert texts[-1] == "completed"
        assert any("is here and verified" in text for text in texts)


async def test_a_sync_lists_the_repo_and_brings_its_small_files(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.create_repo("acme/model", FILES)
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.sync("acme/model"))
        done = await rig.ended(engine.jobs, job.id)
        assert done.state == "completed"
        assert done.result["files"] == len(FILES)
        assert done.files == 2  # config.json and README.md
        assert engine.store.blobs.usage()[0] == 2
        text = " ".join(line.text for line in await engine.jobs.lines(job.id))
        assert "4 model, 1 other, 1 config" in text or "4 model, 1 config, 1 other" in text


async def test_a_file_that_fails_is_named_and_the_others_come(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.create_repo("acme/model", FILES)
    hub.faults.add(Fault("status", status=404, path="*pytorch_model.bin", times=None))
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.download("acme/model"))
        done = await rig.ended(engine.jobs, job.id)
        assert done.state == "failed"
        assert list(done.failures) == ["pytorch_model.bin"]
        assert (done.files, done.failed) == (4, 1)
        assert done.error == "1 of 5 files could not be fetched"
        hub.faults.clear()
        assert (await engine.jobs.retry(job.id)).state == "pending"
        await rig.ended(engine.jobs, job.id)


async def test_of_many_repos_each_is_blamed_for_its_own_files(
    hub: LocalHub, tmp_path: Path
) -> None:
    for name in ("acme/first", "acme/gated", "acme/other"):
        hub.create_repo(name, {"config.json": name.encode(), "README.md": b"# of " + name.encode()})
    hub.faults.add(Fault("status", status=404, path="*gated*README.md", times=None))
    async with rig.engine(hub, tmp_path / "cache") as engine:
        for name in ("acme/first", "acme/gated", "acme/other"):
            await engine.syncer.ensure(repo_named(name), "")
        everything = {"repo": "", "revision": "", "eager_size": MIB}
        job = await engine.jobs.submit(Wanted(JobKind.SYNC, everything))
        done = await rig.ended(engine.jobs, job.id)
        lines = [line.text for line in await engine.jobs.lines(job.id)]
    assert (done.state, done.files, done.failed) == ("failed", 5, 1)
    assert done.error == "1 of 3 repos could not be synced"
    assert "acme/gated: 1 of 2 files could not be fetched" in lines
    assert not any(line.startswith("acme/other: ") and "could not" in line for line in lines)


async def test_a_repo_that_is_not_there_fails_with_its_reason(
    hub: LocalHub, tmp_path: Path
) -> None:
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.sync("acme/nothing"))
        done = await rig.ended(engine.jobs, job.id)
        assert done.state == "failed"
        assert "acme/nothing" in done.error
        assert done.attempts == 1


async def test_a_job_called_off_ends_at_once_and_keeps_its_bytes(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.create_repo("acme/model", FILES)
    hub.bandwidth = 2 * MIB
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.download("acme/model"))
        await rig.until_moved(engine.jobs, job.id)
        with trio.fail_after(rig.PATIENCE):
            called_off = await engine.jobs.cancel(job.id)
        assert called_off.state == "cancelled"
        assert called_off.size > 0  # of files that are not whole, what is here
        with pytest.raises(WrongJobState):
            await engine.jobs.cancel(job.id)
        hub.bandwidth = None
        await engine.jobs.retry(job.id)
        assert (await rig.ended(engine.jobs, job.id)).state == "completed"


async def test_a_stopped_job_goes_on_after_a_restart(hub: LocalHub, tmp_path: Path) -> None:
    size = 40 * MIB
    hub.create_repo("acme/model", {"model.safetensors": random.Random(4).randbytes(size)})
    hub.bandwidth = 4 * MIB
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.download("acme/model"))
        await rig.until_moved(engine.jobs, job.id)
    async with rig.engine(hub, tmp_path / "cache", role=Role.COMMAND) as engine:
        assert engine.jobs.find(job.id).size > 0
        assert engine.jobs.count_waiting() == 1
    hub.log.wait_idle()
    hub.bandwidth = None
    async with rig.engine(hub, tmp_path / "cache") as engine:
        done = await rig.ended(engine.jobs, job.id)
    assert (done.state, done.attempts) == ("completed", 1)
    # What stood in sockets' buffers when the first process ended is all that came twice.
    assert hub.log.content_bytes() < size + 8 * MIB


async def test_without_resuming_old_jobs_wait_until_they_are_asked_for_again(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.create_repo("acme/model", FILES)
    hub.bandwidth = MIB
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.download("acme/model"))
        await rig.until_moved(engine.jobs, job.id)
    hub.bandwidth = None
    async with rig.engine(hub, tmp_path / "cache", role=Role.COMMAND) as engine:
        assert engine.jobs.is_idle
        left = engine.jobs.find(job.id)
        assert (left.state, engine.jobs.is_parked(left)) == ("pending", True)
        assert (await engine.jobs.cancel(job.id)).state == "cancelled"
        assert engine.jobs.resume(job.id).state == "cancelled"  # nobody revives it unasked
        assert engine.jobs.is_idle
        await engine.jobs.retry(job.id)
    async with rig.engine(hub, tmp_path / "cache", role=Role.COMMAND) as engine:
        same = await engine.jobs.submit(rig.download("acme/model"))
        assert same.id == job.id
        assert (await rig.ended(engine.jobs, job.id)).state == "completed"


async def test_a_job_in_the_background_is_known_as_such_by_whoever_comes_next(
    hub: LocalHub, tmp_path: Path
) -> None:
    """Also if it is first wished for by somebody who waits, and also after a crash."""
    hub.create_repo("acme/model", FILES)
    hub.create_repo("acme/other", FILES)
    hub.bandwidth = MIB // 4
    async with rig.engine(hub, tmp_path / "cache") as engine:
        job = await engine.jobs.submit(rig.download("acme/model"))
        other = await engine.jobs.submit(rig.download("acme/other"))
        await rig.until_moved(engine.jobs, job.id)
        assert engine.jobs.left_in_background == []
        wish = replace(rig.download("acme/model"), in_background=True)
        assert (await engine.jobs.submit(wish)).id == job.id
        shutil.copytree(tmp_path / "cache", tmp_path / "crashed")
        assert engine.jobs.left_in_background == [job.id]
    for cache in (tmp_path / "cache", tmp_path / "crashed"):
        async with rig.engine(hub, cache, role=Role.COMMAND) as engine:
            assert engine.jobs.is_idle
            assert engine.jobs.left_in_background == [job.id]
        hub.bandwidth = None
        async with rig.engine(hub, cache, role=Role.JOBS) as engine:
            assert (await rig.ended(engine.jobs, job.id)).state == "completed"
            assert engine.jobs.is_parked(engine.jobs.find(other.id))
            assert engine.jobs.left_in_background == []


async def test_the_same_wish_twice_is_one_job(hub: LocalHub, tmp_path: Path) -> None:
    hub.create_repo("acme/model", FILES)
    hub.bandwidth = MIB
    async with rig.engine(hub, tmp_path / "cache") as engine:
        first = await engine.jobs.submit(rig.download("acme/model"))
        await rig.until_moved(engine.jobs, first.id)
        assert (await engine.jobs.submit(rig.download("acme/model"))).id == first.id
        assert (await engine.jobs.submit(rig.download("acme/model", "*.json"))).id != first.id


@pytest.mark.parametrize("is_running", [True, False])
async def test_who_joins_a_job_is_waited_for_as_who_asked_for_it_first(
    hub: LocalHub, tmp_path: Path, *, is_running: bool
) -> None:
    """One that runs is told; one that waits for a better time begins."""
    hub.create_repo("acme/model", FILES)
    if is_running:
        hub.bandwidth = MIB
    else:
        hub.down()
    async with rig.engine(hub, tmp_path / "cache") as engine:
        first = await engine.jobs.submit(rig.download("acme/model"))
        assert not first.awaited_since
        if is_running:
            await rig.until_moved(engine.jobs, first.id)
        else:
            await until(lambda: bool(engine.jobs.find(first.id).not_before))
        joined = await engine.jobs.submit(replace(rig.download("acme/model"), is_awaited=True))
        assert joined.id == first.id
        assert joined.awaited_since
        assert not joined.not_before
        assert engine.jobs.find(first.id).awaited_since == joined.awaited_since


async def test_ten_thousand_files_are_one_job_with_few_tasks(hub: LocalHub, tmp_path: Path) -> None:
    files = {f"part-{number:05}.txt": b"%d" % (number % 40) for number in range(10_000)}
    hub.create_repo("acme/many", files)
    async with rig.engine(hub, tmp_path / "cache") as engine:
        tasks = trio.lowlevel.current_statistics().tasks_living
        job = await engine.jobs.submit(rig.download("acme/many"))
        moved = await rig.until_moved(engine.jobs, job.id)
        assert trio.lowlevel.current_statistics().tasks_living < tasks + AT_ONCE + 40
        assert len(pack(moved)) < 2000
        done = await rig.ended(engine.jobs, job.id)
        assert (done.state, done.files_total) == ("completed", 40)
