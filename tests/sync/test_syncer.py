from __future__ import annotations

import time
import tracemalloc

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubfs.errors import FetchStopped, HubfsError, HubUnreachable, RepoNotFound, TreeTooLarge
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog
from hubfs.sync.syncer import LONGEST_LISTING, RETRY_AFTER_FAILURE, Found, Renamed, Synced, Syncer
from tests.sync.conftest import TTL
from tests.sync.fakehub import FakeHub, commit_of

REPO = RepoId(RepoKind.MODEL, "acme/model")
FILES = ("a", "sub/b", "sub/c")


async def synced(syncer: Syncer, revision: str = "") -> Synced:
    found = await syncer.ensure(REPO, revision)
    assert isinstance(found, Synced)
    return found


def age(catalog: Catalog, seconds: float, revision: str = "") -> None:
    """Let what is known of REPO be so many seconds older."""
    ref = catalog.find_ref(REPO, revision)
    assert ref is not None
    catalog.put_ref(REPO, revision, ref.commit, time.time() - seconds)


async def test_the_first_touch_asks_for_the_commit_and_its_tree(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    commit = hub.put("acme/model", "one", *FILES)
    found = await synced(syncer)
    assert (found.ref.commit, found.snapshot.files) == (commit, 3)
    assert hub.asked == ["acme/model", f"tree acme/model@{commit}"]


async def test_what_is_known_is_answered_without_a_question(syncer: Syncer, hub: FakeHub) -> None:
    hub.put("acme/model", "one", *FILES)
    first = await synced(syncer)
    hub.asked.clear()
    hub.error = HubUnreachable("the Hub is down")
    assert await synced(syncer) == first
    assert hub.asked == []


async def test_all_who_want_the_same_share_one_flight(
    syncer: Syncer, hub: FakeHub, nursery: trio.Nursery
) -> None:
    hub.put("acme/model", "one", *FILES)
    hub.gate = trio.Event()
    found: list[Found] = []

    async def want() -> None:
        found.append(await syncer.ensure(REPO, ""))

    for _ in range(10):
        nursery.start_soon(want)
    await wait_all_tasks_blocked()
    assert hub.asked == ["acme/model"]
    hub.gate.set()
    with trio.fail_after(30):
        assert await syncer.ensure(REPO, "")
        await wait_until_idle(syncer)
    assert len(found) == 10
    assert len(set(map(id, found))) == 1


async def wait_until_idle(syncer: Syncer) -> None:
    """Wait until no flight is left, and those who waited for one have gone on."""
    while syncer._flights:
        await next(iter(syncer._flights.values())).landed.wait()
    await wait_all_tasks_blocked()


async def test_who_gives_up_takes_no_flight_along(syncer: Syncer, hub: FakeHub) -> None:
    hub.put("acme/model", "one", *FILES)
    hub.gate = trio.Event()
    with trio.CancelScope() as impatient:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(syncer.ensure, REPO, "")
            await wait_all_tasks_blocked()
            impatient.cancel()
    hub.gate.set()
    assert (await synced(syncer)).snapshot.files == 3
    assert hub.asked.count("acme/model") == 1


async def test_a_failure_is_told_to_all_and_the_next_one_tries_anew(
    syncer: Syncer, hub: FakeHub
) -> None:
    hub.error = HubUnreachable("the Hub is down")
    for _ in range(2):
        with pytest.raises(HubUnreachable):
            await syncer.ensure(REPO, "")
    assert len(hub.asked) == 2
    hub.error = None
    hub.put("acme/model", "one", *FILES)
    assert (await synced(syncer)).snapshot.files == 3


async def test_a_listing_that_breaks_off_leaves_nothing(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    commit = hub.put("acme/model", "one", *FILES)

    class Broken(list[str]):
        def __getitem__(self, at: object) -> list[str]:  # type: ignore[override]
            if at == slice(2, None):
                raise HubUnreachable("the line broke")
            return list(self)[at]  # type: ignore[call-overload,no-any-return]

    hub.repos["acme/model"] = (commit, Broken(FILES))
    with pytest.raises(HubUnreachable):
        await syncer.ensure(REPO, "")
    assert catalog.find_repo(REPO) is None
    assert catalog.find_snapshot(REPO, commit) is None
    assert syncer.find(REPO, "") is None


async def test_a_mirror_that_turns_no_pages_is_asked_for_each_directory(
    syncer: Syncer, hub: FakeHub
) -> None:
    commit = hub.put("acme/model", "one", *FILES)
    hub.turns_pages = False
    assert (await synced(syncer)).snapshot.files == 3
    assert hub.asked[1:] == [f"tree acme/model@{commit}", f"directories acme/model@{commit}"]


async def test_a_bug_in_one_sync_ends_nothing_else(
    syncer: Syncer, hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.error = KeyError("a bug")
    with pytest.raises(HubfsError):
        await syncer.ensure(REPO, "")
    assert "a bug" in caplog.text
    hub.error = None
    hub.put("acme/model", "one", *FILES)
    assert (await synced(syncer)).snapshot.files == 3


async def test_an_old_answer_is_given_at_once_and_checked_behind(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    before = hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    after = hub.put("acme/model", "two", *FILES, "added")
    assert (await synced(syncer)).ref.commit == before
    age(catalog, TTL)
    assert (await synced(syncer)).ref.commit == before
    await wait_until_idle(syncer)
    found = await synced(syncer)
    assert (found.ref.commit, found.snapshot.files) == (after, 4)
    assert syncer.switched.receive_nowait() == (REPO, "")


async def test_what_has_not_changed_is_young_again_and_no_one_is_told(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    age(catalog, TTL)
    await synced(syncer)
    await wait_until_idle(syncer)
    hub.asked.clear()
    await synced(syncer)
    await wait_until_idle(syncer)
    assert hub.asked == []
    with pytest.raises(trio.WouldBlock):
        syncer.switched.receive_nowait()


async def test_an_answer_from_the_future_is_old(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    """A clock that was set back must not freeze a branch until it has caught up."""
    hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    after = hub.put("acme/model", "two", *FILES)
    age(catalog, -1e6)
    await synced(syncer)
    await wait_until_idle(syncer)
    assert (await synced(syncer)).ref.commit == after


@pytest.mark.parametrize("error", [HubUnreachable("down"), RepoNotFound("deleted")])
async def test_a_check_that_fails_is_not_repeated_at_once(
    syncer: Syncer, hub: FakeHub, catalog: Catalog, error: HubfsError, mock_clock: MockClock
) -> None:
    before = hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    hub.error = error
    hub.asked.clear()
    age(catalog, TTL)
    for _ in range(5):
        assert (await synced(syncer)).ref.commit == before
        await wait_until_idle(syncer)
    assert len(hub.asked) == 1
    mock_clock.jump(RETRY_AFTER_FAILURE + 1)
    hub.error = None
    after = hub.put("acme/model", "two", *FILES)
    await synced(syncer)
    await wait_until_idle(syncer)
    assert (await synced(syncer)).ref.commit == after


async def test_a_commit_is_never_checked(syncer: Syncer, hub: FakeHub, catalog: Catalog) -> None:
    commit = commit_of("one")
    hub.put(f"acme/model@{commit}", "one", *FILES)
    await synced(syncer, commit)
    age(catalog, 1e9, commit)
    hub.asked.clear()
    assert (await synced(syncer, commit)).ref.commit == commit
    await wait_until_idle(syncer)
    assert hub.asked == []


async def test_a_known_commit_needs_no_question_under_its_own_name(
    syncer: Syncer, hub: FakeHub
) -> None:
    commit = hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    hub.error = HubUnreachable("the Hub is down")
    assert (await synced(syncer, commit)).ref.commit == commit


async def test_a_tree_is_listed_once_however_many_names_lead_to_it(
    syncer: Syncer, hub: FakeHub
) -> None:
    commit = hub.put("acme/model", "one", *FILES)
    for revision in ("main", "v1"):
        hub.put(f"acme/model@{revision}", "one", *FILES)
    numbers = {(await synced(syncer, revision)).snapshot.number for revision in ("", "main", "v1")}
    assert len(numbers) == 1
    assert hub.asked.count(f"tree acme/model@{commit}") == 1


async def test_another_spelling_is_remembered(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    hub.put("acme/model", "one", *FILES)
    hub.names["ACME/old"] = "acme/model"
    other = RepoId(RepoKind.MODEL, "ACME/old")
    assert await syncer.ensure(other, "") == Renamed(REPO)
    assert catalog.find_alias(RepoKind.MODEL, "ACME/old") == "acme/model"
    assert syncer.find(REPO, "") is not None
    with pytest.raises(trio.WouldBlock):
        syncer.switched.receive_nowait()


async def test_a_repo_that_is_renamed_while_it_is_known_becomes_an_alias(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    hub.names["acme/model"] = "new/name"
    hub.put("new/name", "two", *FILES)
    age(catalog, TTL)
    await synced(syncer)
    await wait_until_idle(syncer)
    assert catalog.find_alias(RepoKind.MODEL, "acme/model") == "new/name"
    assert syncer.switched.receive_nowait() == (REPO, "")


async def test_a_repo_that_gets_its_old_name_back_leads_in_no_circle(
    syncer: Syncer, hub: FakeHub, catalog: Catalog
) -> None:
    new = RepoId(RepoKind.MODEL, "new/name")
    hub.put("acme/model", "one", *FILES)
    hub.put("new/name", "one", *FILES)
    await synced(syncer)
    hub.names["acme/model"] = "new/name"
    assert await syncer.refresh(REPO) == Renamed(new)
    hub.names = {"new/name": "acme/model"}
    assert await syncer.refresh(new) == Renamed(REPO)
    assert catalog.find_alias(RepoKind.MODEL, "new/name") == "acme/model"
    assert catalog.find_alias(RepoKind.MODEL, "acme/model") is None
    told = [syncer.switched.receive_nowait() for _ in range(3)]
    assert told == [(REPO, ""), (REPO, ""), (new, "")]


async def test_a_tree_that_is_too_large_is_refused_and_not_kept(
    catalog: Catalog, hub: FakeHub, nursery: trio.Nursery
) -> None:
    """A path of 4 KB stands for 2,000 directories: a small page, gigabytes of directories."""
    syncer = Syncer(catalog, hub, TTL, largest=20 << 20)
    await nursery.start(syncer.run)
    deep = "/".join(["d"] * 2000)
    commit = hub.put("acme/model", "one", *(f"{number}/{deep}" for number in range(100)))
    tracemalloc.start()
    try:
        with pytest.raises(TreeTooLarge, match=r"acme/model: its [1-9] files and more"):
            await syncer.ensure(REPO, "")
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert catalog.find_snapshot(REPO, commit) is None
    hub.put("acme/model", "two", *(f"{number}/{deep}" for number in range(3)))
    assert isinstance(await syncer.ensure(REPO, ""), Synced)
    syncer.stop()


async def test_a_listing_that_drips_for_ever_is_given_up(
    syncer: Syncer, hub: FakeHub, mock_clock: MockClock
) -> None:
    hub.put("acme/model", "one", *FILES)
    hub.pages_come = trio.Event()

    async def wait() -> None:
        with pytest.raises(HubUnreachable, match="did not end"):
            await syncer.ensure(REPO, "")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        mock_clock.jump(LONGEST_LISTING + 1)
    hub.pages_come.set()
    assert (await synced(syncer)).snapshot.files == 3


async def test_a_refresh_asks_whatever_is_known(syncer: Syncer, hub: FakeHub) -> None:
    hub.put("acme/model", "one", *FILES)
    await synced(syncer)
    after = hub.put("acme/model", "two", *FILES)
    found = await syncer.refresh(REPO)
    assert isinstance(found, Synced)
    assert found.ref.commit == after


async def test_a_stop_fails_everyone_who_waits(
    syncer: Syncer, hub: FakeHub, nursery: trio.Nursery
) -> None:
    hub.gate = trio.Event()
    failures: list[str] = []

    async def fails(what: str, *key: object) -> None:
        with pytest.raises(FetchStopped):
            await getattr(syncer, what)(*key)
        failures.append(what)

    nursery.start_soon(fails, "ensure", REPO, "")
    nursery.start_soon(fails, "refresh", REPO, "dev")
    nursery.start_soon(fails, "find_author", RepoKind.MODEL, "acme")
    await wait_all_tasks_blocked()
    assert len(hub.asked) == 3
    syncer.stop()
    await wait_all_tasks_blocked()
    assert sorted(failures) == ["ensure", "find_author", "refresh"]
    with pytest.raises(FetchStopped):
        await syncer.ensure(REPO, "")
