"""The budget is kept whatever is read, and readers never notice."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.budget.evictor import TICK, Evictor
from hubfs.config import CacheSettings, Fill
from hubfs.config.amounts import Amount
from hubfs.errors import StoreFull
from hubfs.fetch.transfer import FAILURE_MEMORY
from hubfs.model.content import MIB, Content
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import TreeBuilder, TreeFile
from hubfs.store.index import Transaction
from hubfs.store.ledger import Item, partial_name
from hubfs.store.pins import Pins
from hubfs.store.records import PinRecord, RepoRecord
from hubfs.store.store import Space, Store
from tests.budget.rig import NO_FLOOR, budget, files_in, keeping, taken
from tests.fetch.rig import Rig, listed, running, until
from tests.fetch.samples import sample
from tests.localhub import File, LocalHub
from tests.store.contents import admit, fetch, lfs_content, read
from tests.store.disks import fill_up, remount_read_only
from tests.weather.conftest import Disk

REPO = "acme/model"
SMALL = {f"{number}.bin": sample(MIB, seed=number) for number in range(12)}
LARGE = sample(12 * MIB, seed=99)


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    files = {**SMALL, "large.bin": LARGE}
    hub.create_repo(REPO, {name: File(data, lfs=True) for name, data in files.items()})
    return hub


async def test_what_was_used_longest_ago_goes_first(hub: LocalHub, cache: Path) -> None:
    async with keeping(hub, cache, budget(5.5)) as (rig, evictor):
        for name in ("0.bin", "1.bin", "2.bin", "3.bin"):
            await rig.read_file(REPO, name)
        await rig.read_file(REPO, "0.bin")
        hub.log.clear()
        await rig.read_file(REPO, "4.bin")
        await rig.read_file(REPO, "5.bin")
        await until(lambda: evictor.last.items)
        await rig.read_file(REPO, "0.bin")
        assert hub.log.content_bytes("0.bin") == 0
        assert rig.store.blobs.find(listed(hub, REPO, "1.bin")[0]) is None
        assert taken(cache) <= 5.5 * MIB


async def test_what_is_open_stays_and_what_else_is_read_is_not_kept(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with keeping(hub, cache, budget(3)) as (rig, _):
        held = [rig.open(REPO, f"{number}.bin") for number in range(3)]
        for number, opened in enumerate(held):
            assert await rig.read(opened, 0, MIB) == SMALL[f"{number}.bin"]
        await until(lambda: rig.fetcher.room.is_tight)
        for name in [*SMALL, "large.bin"]:
            assert await rig.read_file(REPO, name) == SMALL.get(name, LARGE)
        for number, opened in enumerate(held):
            assert await rig.read(opened, 0, MIB) == SMALL[f"{number}.bin"]
        assert taken(cache) <= 3 * MIB + MIB // 4
        told = [each for each in caplog.records if "nothing new is kept" in each.message]
        assert len(told) == 1
        await fail_to_prefetch(rig, hurry, "5.bin")
        for opened in held:
            rig.fetcher.release(opened)
        await until(lambda: not rig.fetcher.room.is_tight)
        hurry.jump(FAILURE_MEMORY)
        await rig.fetcher.complete(*listed(hub, REPO, "5.bin"))
        assert rig.store.blobs.find(listed(hub, REPO, "5.bin")[0])


async def test_what_found_no_room_is_filled_once_there_is(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock
) -> None:
    async with keeping(hub, cache, budget(3), fill=Fill.ALWAYS) as (rig, _):
        held = [rig.open(REPO, f"{number}.bin") for number in range(3)]
        for opened in held:
            await rig.read(opened, 0, MIB)
        await until(lambda: rig.fetcher.room.is_tight)
        assert await rig.read_file(REPO, "5.bin") == SMALL["5.bin"]
        wanted = listed(hub, REPO, "5.bin")[0]
        assert rig.store.blobs.find(wanted) is None
        for opened in held:
            rig.fetcher.release(opened)
        await until(lambda: rig.store.blobs.find(wanted))
        assert taken(cache) <= 3 * MIB + MIB // 4


async def fail_to_prefetch(rig: Rig, hurry: trio.testing.MockClock, name: str) -> None:
    async def pass_time() -> None:
        while True:
            hurry.jump(TICK)
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_time)
        with pytest.raises(StoreFull, match="nothing new is kept"):
            await rig.fetcher.complete(*listed(rig.hub, REPO, name))
        nursery.cancel_scope.cancel()


# --- the disk itself -------------------------------------------------------------------


async def test_a_disk_that_refuses_bytes_gets_room_and_caching_recovers(
    hub: LocalHub, disk: Disk, hurry: trio.testing.MockClock
) -> None:
    root = disk(16)
    settings = CacheSettings(Amount(), NO_FLOOR)
    async with keeping(hub, root / "cache", settings, fill=Fill.NEVER) as (rig, evictor):
        for name in ("0.bin", "1.bin", "2.bin", "3.bin"):
            await rig.read_file(REPO, name)
        fill_up(root)
        for name in ("4.bin", "5.bin"):
            assert await rig.read_file(REPO, name) == SMALL[name]
        await until(lambda: evictor.last.items)
        hurry.jump(2 * FAILURE_MEMORY)
        assert await rig.read_file(REPO, "4.bin") == SMALL["4.bin"]
        assert rig.store.blobs.find(listed(hub, REPO, "4.bin")[0])
        assert rig.store.blobs.find(listed(hub, REPO, "0.bin")[0]) is None


async def test_what_must_stay_free_stays_free(hub: LocalHub, disk: Disk) -> None:
    root = disk(16)
    settings = CacheSettings(Amount(), Amount(10 * MIB))
    async with keeping(hub, root / "cache", settings) as (rig, _):
        for name, data in SMALL.items():
            assert await rig.read_file(REPO, name) == data
            # The index takes some, and what is open may be beside it for a moment.
            assert rig.store.space().available >= 8 * MIB
        await until(lambda: rig.store.space().available > 10 * MIB)
        assert rig.store.blobs.find(listed(hub, REPO, "11.bin")[0])


async def test_a_partial_that_nobody_has_used_for_long_goes(hub: LocalHub, cache: Path) -> None:
    store = Store(cache)
    fetch(store, lfs_content(b"partly"), b"partly").close()
    store.note_used({lfs_content(b"partly"): time.time() - 1})
    admit(store, lfs_content(b"whole"), b"whole")
    store.close()
    settings = CacheSettings(Amount(), NO_FLOOR, partial_age=0.0)
    async with keeping(hub, cache, settings) as (rig, evictor):
        await until(lambda: evictor.last.items)
        assert [path.name for path in files_in(cache)] == [lfs_content(b"whole").sha256]
        assert rig.store.partials.held_bytes(lfs_content(b"partly")) == 0
        assert read(rig.store, lfs_content(b"whole")) == b"whole"


# --- pins ------------------------------------------------------------------------------


async def test_what_is_pinned_stays_whatever_else_is_read(hub: LocalHub, cache: Path) -> None:
    """What is pinned stays, whatever else is read."""
    async with keeping(hub, cache, budget(4.5)) as (rig, evictor):
        know(rig, "0.bin", "1.bin")
        Pins(rig.store.index).put(PinRecord(hub.endpoint, REPO, pattern="0*"))
        for name, data in SMALL.items():
            assert await rig.read_file(REPO, name) == data
        await until(lambda: evictor.last.items)
        hub.log.clear()
        assert await rig.read_file(REPO, "0.bin") == SMALL["0.bin"]
        assert hub.log.content_bytes() == 0
        assert await rig.read_file(REPO, "1.bin") == SMALL["1.bin"]
        assert hub.log.content_bytes() == MIB


def know(rig: Rig, *names: str) -> None:
    """List files of the repo in the index, as a sync does."""
    builder, commit = TreeBuilder(), rig.hub.repo(REPO).head.oid
    for name in names:
        content = listed(rig.hub, REPO, name)[0]
        builder.add(TreeFile(name, content.size, "0" * 40, content.sha256))
    catalog = rig.store.catalog(rig.hub.endpoint)
    repo = RepoId(RepoKind.MODEL, REPO)
    catalog.put_repo(repo, RepoRecord(REPO))
    catalog.put_snapshot(repo, commit, builder, 0.0)
    catalog.put_ref(repo, "", commit, 0.0)


# --- crashes ---------------------------------------------------------------------------


EVICT_AND_DIE = """
import os, sys
from pathlib import Path
from hubfs.store.store import Space, Store
store = Store(Path(sys.argv[1]))
class Dying(type(store.eviction)):
    def _unlink(self, items):
        super()._unlink(items[:1])
        os.kill(os.getpid(), 9)
store.eviction.__class__ = Dying
store.eviction.carry_out(list(store.ledger.oldest()))
"""


async def test_a_kill_in_the_middle_of_an_eviction_loses_and_leaves_nothing(
    hub: LocalHub, cache: Path
) -> None:
    """A crash in the middle of a deletion loses nothing and leaves nothing behind."""
    store = Store(cache)
    bodies = [b"%d" % number * 9000 for number in range(3)]
    for data in bodies:
        admit(store, lfs_content(data), data)
    store.close()
    died = await trio.run_process([sys.executable, "-c", EVICT_AND_DIE, cache], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(files_in(cache)) == 2
    async with keeping(hub, cache, budget(1)) as (rig, _):
        await until(lambda: rig.store.ledger.totals().blobs == 2)
        assert rig.store.ledger.totals().occupied == taken(cache)
        found = [read(rig.store, lfs_content(data)) for data in bodies]
        assert found == [None, *bodies[1:]]


async def test_records_whose_files_are_gone_are_forgotten(hub: LocalHub, cache: Path) -> None:
    async with keeping(hub, cache, budget(1)) as (rig, evictor):
        for data in (b"stays" * 99, b"goes" * 99):
            admit(rig.store, lfs_content(data), data)
        rig.store.blobs.path(lfs_content(b"goes" * 99).sha256 or "").unlink()
        assert await evictor.reconcile() == (0, 1)
        assert rig.store.ledger.totals().blobs == 1


async def test_an_open_file_that_is_deleted_by_force_is_counted_until_it_is_closed(
    hub: LocalHub, cache: Path
) -> None:
    async with keeping(hub, cache, budget(8)) as (rig, evictor):
        await rig.read_file(REPO, "0.bin")
        with rig.opened(REPO, "0.bin") as opened:
            before = evictor.figures().taken
            done = await evictor.evict(list(rig.store.ledger.oldest()), is_forced=True)
            assert done.items == 1
            assert taken(cache) == 0
            assert evictor.figures().taken == before
            assert await rig.read(opened, 0, MIB) == SMALL["0.bin"]
        assert evictor.figures().taken == 0


async def test_what_has_another_name_elsewhere_is_not_deleted_in_vain(
    hub: LocalHub, cache: Path, tmp_path: Path
) -> None:
    store = Store(cache)
    linked, own = b"linked" * 3000, b"own" * 6000
    (tmp_path / "elsewhere").hardlink_to(admit(store, lfs_content(linked), linked))
    store.blobs.record(lfs_content(linked).sha256 or "", lfs_content(linked))
    admit(store, lfs_content(own), own)
    store.close()
    async with keeping(hub, cache, budget(1)) as (rig, evictor):
        assert await evictor.reconcile() == (0, 0)
        assert rig.store.ledger.totals().occupied == evictor.figures().taken < 2 * len(own)
        assert (await evictor.make_room(1 << 30)).items == 1
        assert [item.size for item in rig.store.ledger.oldest()] == [len(linked)]
        (tmp_path / "elsewhere").unlink()
        await evictor.reconcile()
        assert evictor.figures().taken >= len(linked)
        assert (await evictor.make_room(1 << 30)).items == 1
        assert taken(cache) == 0


async def test_where_nothing_may_be_deleted_nothing_is_forgotten(
    hub: LocalHub, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    root = disk(16)
    settings = CacheSettings(Amount(), Amount(100 * MIB))
    async with keeping(hub, root / "cache", CacheSettings(Amount(), NO_FLOOR)) as (rig, _):
        await rig.read_file(REPO, "0.bin")
    remount_read_only(root)
    async with keeping(hub, root / "cache", settings) as (rig, evictor):
        await until(lambda: "nothing can be deleted" in caplog.text)
        evictor.reconfigure(settings)
        await evictor._look_safely()
        hub.log.clear()
        assert await rig.read_file(REPO, "0.bin") == SMALL["0.bin"]
        assert hub.log.content_bytes() == 0
        assert caplog.text.count("nothing can be deleted") == 1


# --- a disk that takes its time, and one that is full ----------------------------------


async def test_a_disk_that_is_slow_to_free_does_not_lose_everything(
    hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(hub, cache) as rig:
        for name in SMALL:
            await rig.read_file(REPO, name)
        available = 100 * MIB - rig.store.ledger.totals().taken  # and so it stays for a while
        monkeypatch.setattr(rig.store, "space", lambda: Space(100 * MIB, available, available))
        settings = CacheSettings(Amount(), Amount(available))
        evictor = Evictor(rig.store, rig.fetcher, settings)
        for _ in range(5):
            await evictor.look()
        assert 0 < len(SMALL) - rig.store.ledger.totals().blobs <= 9
        assert rig.fetcher.room.left > 0


async def test_a_full_disk_after_a_crash_ends_no_service(
    hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(hub, cache) as rig:
        await rig.read_file(REPO, "0.bin")
        rig.store.blobs.forget(listed(hub, REPO, "0.bin")[0].sha256 or "")
        rig.store.was_left_behind = True

        def full(_: object) -> None:
            raise StoreFull("no space left on device")

        evictor = Evictor(rig.store, rig.fetcher, budget(5))
        async with trio.open_nursery() as nursery:
            with monkeypatch.context() as patched:
                patched.setattr(rig.store.index, "write", full)
                await nursery.start(evictor.run)
                await until(lambda: "what a crash left" in caplog.text)
            nursery.cancel_scope.cancel()


async def test_an_old_partial_that_stays_costs_no_look_at_the_others(
    hub: LocalHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(hub, cache) as rig:
        now, ledger = time.time(), rig.store.ledger
        contents = [Content(5, sha256=f"{number:064x}") for number in range(1000)]
        items = [Item(partial_name(each), now, 5, 4096) for each in contents]
        items[0] = items[0]._replace(used_at=now - 90 * 86400)

        def enter(txn: Transaction) -> None:
            for item in items:
                ledger.put(txn, item)

        rig.store.index.write(enter)
        pages: list[bytes] = []
        page = ledger._page

        def counted(start: bytes) -> list[Item]:
            pages.append(start)
            return page(start)

        monkeypatch.setattr(ledger, "_page", counted)
        opened = rig.fetcher.open(contents[0], listed(hub, REPO, "0.bin")[1])
        await Evictor(rig.store, rig.fetcher, budget(100)).drop_old_partials()
        assert len(pages) == 2
        assert ledger.find(items[0].name)
        rig.fetcher.release(opened)
