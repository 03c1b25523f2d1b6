from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from hubfs.errors import AccessDenied, HubError, HubUnreachable, NotADirectory, Offline
from hubfs.fs.attributes import FOREVER, NEVER_INODE, Attributes, NodeType
from hubfs.fs.inodes import DATASETS, ROOT, SPACES, place_of
from hubfs.fs.namespace import A_TURN, MOST_MISSES, NEGATIVE_TTL, Misses, Namespace
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog, Node
from hubfs.sync.syncer import Syncer
from tests.sync.conftest import TTL
from tests.sync.fakehub import FakeHub


async def look(namespace: Namespace, catalog: Catalog, path: str) -> Attributes:
    """Follow the parts of a path as the kernel does, through no symlink."""
    top, slash, base = path.partition("/")
    found = await namespace.lookup_fixed(ROOT, top)
    if not slash:
        return found
    node = catalog.find_node(place_of(found.inode).number)
    assert node is not None
    return await namespace.lookup_in_org(node, base)


def target(namespace: Namespace, catalog: Catalog, link: Attributes) -> str:
    assert link.type is NodeType.SYMLINK
    node = catalog.find_node(place_of(link.inode).number)
    assert node is not None
    found = namespace.link_target(node)
    assert len(found) == link.size
    return found.decode()


async def test_a_bare_name_does_not_lead_into_itself(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    hub.put("acme/model", "one", "a")
    hub.names["acme"] = "acme/model"
    hub.knows_authors = False
    found = await look(namespace, catalog, "acme")
    assert found.type is NodeType.DIRECTORY
    assert catalog.find_alias(RepoKind.MODEL, "acme") is None
    assert (await look(namespace, catalog, "acme/model")).type is NodeType.DIRECTORY
    assert await look(namespace, catalog, "acme") == found


async def test_a_repo_that_gets_its_old_name_back_is_a_directory_again(
    namespace: Namespace, catalog: Catalog, hub: FakeHub, syncer: Syncer
) -> None:
    hub.put("acme/model", "one", "a")
    hub.put("acme/new", "one", "a")
    hub.names["acme/model"] = "acme/new"
    link = await look(namespace, catalog, "acme/model")
    assert target(namespace, catalog, link) == "new"
    hub.names = {"acme/new": "acme/model"}
    await syncer.refresh(RepoId(RepoKind.MODEL, "acme/new"))
    assert (await look(namespace, catalog, "acme/model")).type is NodeType.DIRECTORY
    link = await look(namespace, catalog, "acme/new")
    assert target(namespace, catalog, link) == "model"


@pytest.mark.parametrize("name", [".git", "a--b", "x.git", ".Trash-0", "a b", "ä", "x@", "x@a..b"])
async def test_a_name_that_cannot_be_is_absent_for_ever_and_unasked(
    namespace: Namespace, hub: FakeHub, name: str
) -> None:
    for inode in (ROOT, DATASETS, SPACES):
        found = await namespace.lookup_fixed(inode, name)
        assert (found.inode, found.entry_ttl) == (NEVER_INODE, FOREVER)
    found = await namespace.lookup_in_org(Node("org", "models", "acme"), name)
    assert (found.inode, found.entry_ttl) == (NEVER_INODE, FOREVER)
    assert hub.asked == []


async def test_the_fixed_directories_are_at_the_root_only(
    namespace: Namespace, hub: FakeHub
) -> None:
    assert (await namespace.lookup_fixed(ROOT, "datasets")).inode == DATASETS
    assert (await namespace.lookup_fixed(ROOT, "spaces")).inode == SPACES
    assert hub.asked == []
    assert (await namespace.lookup_fixed(SPACES, "datasets")).inode == NEVER_INODE


async def test_an_organisation_is_asked_for_until_a_repo_of_it_is_known(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    hub.put("acme/model", "one", "a")
    first = await look(namespace, catalog, "acme")
    assert (first.type, first.entry_ttl) == (NodeType.DIRECTORY, FOREVER)
    await look(namespace, catalog, "acme/model")
    hub.asked.clear()
    assert await look(namespace, catalog, "acme") == first
    assert hub.asked == []


async def test_a_branch_is_believed_for_its_time_and_a_commit_for_ever(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    commit = hub.put("acme/model", "one", "a")
    hub.put("acme/model@refs/pr/1", "one", "a")
    for name, ttl in {"": TTL, "@refs%2Fpr%2F1": TTL, f"@{commit}": FOREVER}.items():
        assert (await look(namespace, catalog, f"acme/model{name}")).entry_ttl == ttl


async def test_other_spellings_are_links_that_lead_from_where_they_stand(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    for name in ("acme/model", "acme/model@v1"):
        hub.put(name, "one", "a")
    hub.names = {"gpt2": "acme/model", "acme/MODEL": "acme/model", "acme/old": "new/name"}
    hub.put("new/name", "two", "a")
    expected = {
        "gpt2": "acme/model",
        "gpt2@v1": "acme/model@v1",
        "ACME": "acme",
        "acme/MODEL": "model",
        "acme/MODEL@v1": "model@v1",
        "acme/old": "../new/name",
    }
    for _ in range(2):
        found = {path: await look(namespace, catalog, path) for path in expected}
        assert {path: target(namespace, catalog, found[path]) for path in found} == expected
        hub.error = HubUnreachable("what is known is not asked for again")


async def test_what_the_hub_denies_is_not_asked_for_again_for_a_while(
    namespace: Namespace, catalog: Catalog, hub: FakeHub, mock_clock: MockClock
) -> None:
    hub.put("acme/model", "one", "a")
    for _ in range(3):
        found = await look(namespace, catalog, "acme/absent")
        assert (found.inode, found.entry_ttl) == (NEVER_INODE, NEGATIVE_TTL)
    assert hub.asked.count("acme/absent") == 1
    mock_clock.jump(NEGATIVE_TTL / 3)
    assert (await look(namespace, catalog, "acme/absent")).entry_ttl == pytest.approx(40)
    mock_clock.jump(NEGATIVE_TTL)
    hub.put("acme/absent", "two", "a")
    assert (await look(namespace, catalog, "acme/absent")).type is NodeType.DIRECTORY


@pytest.mark.parametrize(
    "error", [HubUnreachable("down"), AccessDenied("gated"), Offline("offline")]
)
async def test_what_the_hub_does_not_say_is_no_miss(
    namespace: Namespace, catalog: Catalog, hub: FakeHub, error: HubError
) -> None:
    hub.put("acme/model", "one", "a")
    await look(namespace, catalog, "acme")
    for path in ("unknown", "acme/model", "acme/model@dev"):
        hub.error = error
        with pytest.raises(type(error)):
            await look(namespace, catalog, path)
        hub.error = None
    assert (await look(namespace, catalog, "acme/model")).type is NodeType.DIRECTORY


async def test_a_known_repo_without_an_organisation_is_not_asked_for(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    hub.put("gpt2", "one", "a")
    found = await look(namespace, catalog, "gpt2")
    assert found.type is NodeType.DIRECTORY
    hub.error = HubUnreachable("down")
    assert await look(namespace, catalog, "gpt2") == found


async def test_what_is_listed_is_what_is_looked_up(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    commit = hub.put("acme/model", "one", "a")
    for name in ("acme/model@refs/pr/1", "acme/other", "gpt3", "new/name"):
        hub.put(name, "one", "a")
    hub.names = {"gpt2": "acme/model", "acme/old": "new/name", "ACME/model": "acme/model"}
    known = ["model", f"model@{commit}", "model@refs%2Fpr%2F1", "other", "old"]
    for path in ["gpt2", "gpt3", "ACME", *(f"acme/{name}" for name in known)]:
        await look(namespace, catalog, path)
    hub.error = HubUnreachable("all of it is known")
    top = {line.name.decode(): line.attributes for line in await namespace.list_fixed(ROOT)}
    assert set(top) == {"datasets", "spaces", "acme", "new", "gpt2", "gpt3", "ACME"}
    assert top == {name: await look(namespace, catalog, name) for name in top}
    lines = await namespace.list_org(Node("org", "models", "acme"))
    inner = {line.name.decode(): line.attributes for line in lines}
    assert set(inner) == set(known)
    assert inner == {name: await look(namespace, catalog, f"acme/{name}") for name in inner}
    assert [line.following for line in lines] == list(range(1, len(lines) + 1))
    assert await namespace.list_fixed(SPACES) == []


async def test_a_long_list_keeps_nobody_waiting(namespace: Namespace, catalog: Catalog) -> None:
    for number in range(10 * A_TURN):
        catalog.put_alias(RepoKind.MODEL, f"acme/old-{number:03}", "acme/model")
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        lines = await namespace.list_org(Node("org", "models", "acme"))
        nursery.cancel_scope.cancel()
    assert len(lines) == 10 * A_TURN
    assert turns >= 9


async def test_a_renamed_repo_is_listed_once(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    hub.put("acme/model", "one", "a")
    await look(namespace, catalog, "acme/model")
    catalog.put_alias(RepoKind.MODEL, "acme/model", "new/name")
    (line,) = await namespace.list_org(Node("org", "models", "acme"))
    assert (line.name, line.attributes.type) == (b"model", NodeType.SYMLINK)


async def test_a_name_is_found_where_the_kernel_knows_it(
    namespace: Namespace, catalog: Catalog, hub: FakeHub
) -> None:
    repo = RepoId(RepoKind.MODEL, "acme/model")
    assert namespace.entry_of(repo, "") is None
    hub.put("acme/model", "one", "a")
    await look(namespace, catalog, "acme/model")
    org = (await look(namespace, catalog, "acme")).inode
    assert namespace.entry_of(repo, "") == (org, b"model")
    assert namespace.entry_of(repo, "refs/pr/1") == (org, b"model@refs%2Fpr%2F1")
    assert namespace.entry_of(RepoId(RepoKind.DATASET, "squad"), "") == (DATASETS, b"squad")


async def test_a_file_is_not_listed(catalog: Catalog) -> None:
    with pytest.raises(NotADirectory):
        await Namespace(catalog, None, None, TTL).list_fixed(99)  # type: ignore[arg-type]


async def test_misses_are_bounded(autojump_clock: MockClock) -> None:
    misses = Misses(60.0)
    for number in range(MOST_MISSES + 1):
        misses.add(RepoKind.MODEL, str(number))
    assert misses.remaining(RepoKind.MODEL, "0") == 0
    assert misses.remaining(RepoKind.MODEL, "1") == 60
    assert misses.remaining(RepoKind.DATASET, "1") == 0
    await trio.sleep(61)
    assert misses.remaining(RepoKind.MODEL, "1") == 0
