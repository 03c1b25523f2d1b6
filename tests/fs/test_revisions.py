from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hubfs.errors import HubUnreachable, NotOnHub
from hubfs.fs.revisions import Revisions
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog
from hubfs.sync.syncer import Syncer
from tests.sync.fakehub import FakeHub, commit_of

ACME = RepoId(RepoKind.MODEL, "acme/tiny")


@pytest.fixture
def revisions(catalog: Catalog, syncer: Syncer) -> Revisions:
    return Revisions(catalog, syncer)


# --- repos -----------------------------------------------------------------------------


async def test_a_known_repo_is_not_asked_for(revisions: Revisions, hub: FakeHub) -> None:
    hub.put("acme/tiny", "one", "a")
    assert await revisions.canonical(ACME) == ACME
    asked = list(hub.asked)
    assert await revisions.canonical(ACME) == revisions.find_canonical(ACME) == ACME
    assert hub.asked == asked


async def test_another_name_is_remembered(revisions: Revisions, hub: FakeHub) -> None:
    hub.put("acme/tiny", "one", "a")
    hub.names["Acme/Tiny"] = "acme/tiny"
    other = RepoId(RepoKind.MODEL, "Acme/Tiny")
    assert await revisions.canonical(other) == ACME
    assert revisions.find_canonical(other) == ACME
    assert revisions.names(RepoKind.MODEL) == ["acme/tiny"]


async def test_another_spelling_of_an_organisation_is_no_repo(
    revisions: Revisions, catalog: Catalog
) -> None:
    catalog.put_alias(RepoKind.MODEL, "Acme", "acme")
    assert revisions.find_canonical(RepoId(RepoKind.MODEL, "Acme")) is None


# --- refs ------------------------------------------------------------------------------


async def test_the_default_revision_is_called_main(revisions: Revisions, hub: FakeHub) -> None:
    commit = hub.put("acme/tiny", "one", "a")
    assert (await revisions.ref(ACME, "main")).ref.commit == commit
    assert revisions.refs(ACME) == ["main"]
    assert not [asked for asked in hub.asked if "@main" in asked]


async def test_a_branch_that_is_known_as_main_only_is_used(
    revisions: Revisions, syncer: Syncer, hub: FakeHub
) -> None:
    commit = hub.put("acme/tiny@main", "one", "a")
    await syncer.ensure(ACME, "main")
    hub.error = HubUnreachable("it is down")
    assert (await revisions.ref(ACME, "main")).ref.commit == commit
    assert revisions.refs(ACME) == ["main"]


async def test_commits_are_no_refs(revisions: Revisions, hub: FakeHub) -> None:
    commit = commit_of("one")
    hub.put(f"acme/tiny@{commit}", "one", "a")
    await revisions.snapshot(ACME, commit)
    assert revisions.refs(ACME) == []
    assert list(revisions.find_snapshots(ACME)) == [commit]


async def test_refs_below_a_name_are_known_or_asked_for(revisions: Revisions, hub: FakeHub) -> None:
    hub.put("acme/tiny@feature/x", "one", "a")
    assert not revisions.knows_refs_below(ACME, "feature")
    assert await revisions.has_refs_below(ACME, "feature")
    assert not await revisions.has_refs_below(ACME, "feat")
    await revisions.ref(ACME, "feature/x")
    assert revisions.knows_refs_below(ACME, "feature")


# --- commits ---------------------------------------------------------------------------


async def test_a_known_commit_is_not_asked_for(revisions: Revisions, hub: FakeHub) -> None:
    commit = hub.put("acme/tiny", "one", "a")
    await revisions.ref(ACME, "main")
    hub.error = HubUnreachable("it is down")
    assert (await revisions.snapshot(ACME, commit)).files == 1


async def test_an_unknown_commit_makes_the_branches_be_asked_for(
    revisions: Revisions, hub: FakeHub
) -> None:
    """The first that is at the commit ends the asking."""
    hub.put("acme/tiny", "one", "a")
    for name in ("dev", "old", "zoo"):
        hub.put(f"acme/tiny@{name}", "one", "a")
        await revisions.ref(ACME, name)
    await revisions.ref(ACME, "main")
    commit = hub.put("acme/tiny@dev", "two", "a", "b")
    hub.asked.clear()
    assert (await revisions.snapshot(ACME, commit)).files == 2
    assert hub.asked == ["acme/tiny", "acme/tiny@dev", f"tree acme/tiny@{commit}"]
    found = revisions.find_ref(ACME, "dev")
    assert found is not None
    assert found.ref.commit == commit


async def test_a_commit_that_no_branch_is_at_is_asked_for_itself(
    revisions: Revisions, hub: FakeHub
) -> None:
    hub.put("acme/tiny", "two", "a")
    old = commit_of("one")
    hub.put(f"acme/tiny@{old}", "one", "a")
    assert (await revisions.snapshot(ACME, old)).files == 1
    with pytest.raises(NotOnHub):
        await revisions.snapshot(ACME, commit_of("never"))


async def test_a_ref_waits_until_it_is_caught_up_with(
    revisions: Revisions, hub: FakeHub, nursery: trio.Nursery
) -> None:
    """Who has found a new commit sees the ref at it, whatever came first."""
    hub.put("acme/tiny", "one", "a")
    await revisions.ref(ACME, "main")
    commit = hub.put("acme/tiny", "two", "a")
    hub.gate = trio.Event()
    nursery.start_soon(revisions.snapshot, ACME, commit)
    await wait_all_tasks_blocked()
    seen: list[str] = []

    async def look() -> None:
        seen.append((await revisions.ref(ACME, "main")).ref.commit)

    async with trio.open_nursery() as looking:
        looking.start_soon(look)
        await wait_all_tasks_blocked()
        assert seen == []
        hub.gate.set()
    assert seen == [commit]


async def test_a_hub_that_is_down_while_it_is_asked_keeps_nobody_waiting(
    revisions: Revisions, hub: FakeHub
) -> None:
    old = hub.put("acme/tiny", "one", "a")
    await revisions.ref(ACME, "main")
    hub.error = HubUnreachable("it is down")
    with pytest.raises(HubUnreachable):
        await revisions.snapshot(ACME, commit_of("two"))
    assert (await revisions.ref(ACME, "main")).ref.commit == old
