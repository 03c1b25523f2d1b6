"""The nodes of `.hub` that are no commit's; how they look to a client is tested on a real mount."""

from __future__ import annotations

import pytest

from hubfs.errors import (
    HubUnreachable,
    IsADirectory,
    NotADirectory,
    NotASymlink,
    StaleHandle,
)
from hubfs.fs.attributes import FOREVER, NEVER_INODE, Attributes, DirectoryEntry, NodeType
from hubfs.fs.hubcache import NEGATIVE_TTL, HubCache
from hubfs.fs.trees import Trees
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog
from hubfs.store.records import RepoRecord
from hubfs.sync.syncer import Syncer
from tests.sync.conftest import TTL
from tests.sync.fakehub import FakeHub, commit_of


@pytest.fixture
def cache(catalog: Catalog, syncer: Syncer) -> HubCache:
    return HubCache(catalog, syncer, Trees(catalog), TTL)


async def look(cache: HubCache, path: str) -> Attributes:
    """Follow the parts of a path, through no symlink."""
    at = cache.attributes(cache.root)
    for name in path.split("/"):
        at = await cache.lookup(at.inode, name)
    return at


def lines_of(cache: HubCache, at: Attributes, start: int = 0) -> list[DirectoryEntry]:
    return list(cache.lines(at.inode)(start))


def put_repos(catalog: Catalog, count: int) -> None:
    for number in range(count):
        repo = RepoId(RepoKind.MODEL, f"acme/{number:03}")
        catalog.put_repo(repo, RepoRecord(repo.name))


async def test_a_listing_goes_on_from_wherever_it_was_left(
    cache: HubCache, catalog: Catalog
) -> None:
    put_repos(catalog, 20)
    catalog.put_alias(RepoKind.MODEL, "acme/005", "acme/006")  # it was renamed: known, not listed
    lines = cache.lines(cache.root)
    every = list(lines(0))
    put_repos(catalog, 30)  # what is open stays as it was
    assert len(every) == 19
    for at, line in enumerate(every):
        assert list(lines(line.following)) == every[at + 1 :]


async def test_names_and_inodes_agree_at_every_mount(
    cache: HubCache, catalog: Catalog, syncer: Syncer
) -> None:
    put_repos(catalog, 5)
    for line in lines_of(cache, cache.attributes(cache.root)):
        assert await cache.lookup(cache.root, line.name.decode()) == line.attributes
        for room in lines_of(cache, line.attributes):
            assert await cache.lookup(line.attributes.inode, room.name.decode()) == room.attributes
    again = HubCache(catalog, syncer, Trees(catalog), TTL)
    path = "models--acme--003/refs"
    assert (await look(again, path)).inode == (await look(cache, path)).inode


async def test_no_two_nodes_have_one_inode(cache: HubCache, hub: FakeHub) -> None:
    commit = hub.put("acme/one", "one", "a.b", "sub/a.b")
    hub.put("acme/two", "one", "a.b", "sub/a.b")
    rooms = ["refs", "snapshots", ".no_exist", "trees", "blobs", "refs/refs", "refs/refs/pr"]
    below = [f"{room}/{commit}" for room in ("snapshots", ".no_exist")]
    below += [
        f"trees/{commit}.json",
        "refs/main",
        f".no_exist/{commit}/no",
        f".no_exist/{commit}/sub",
    ]
    repos = ["models--acme--one", "models--acme--two"]
    paths = [f"{repo}/{each}" for repo in repos for each in (*rooms, *below)]
    paths += [
        *repos,
        ".locks",
        *(f".locks/{repo}" for repo in repos),
        "version.txt",
        "CACHEDIR.TAG",
    ]
    inodes = [(await look(cache, path)).inode for path in paths]
    assert NEVER_INODE not in inodes
    assert len({*inodes, cache.root}) == len(paths) + 1


async def test_the_kernel_may_keep_what_cannot_change(cache: HubCache, hub: FakeHub) -> None:
    commit = hub.put("acme/one", "one", "a.b")
    repo = "models--acme--one"
    kept = {
        repo: TTL,  # it may be renamed
        f"{repo}/refs": FOREVER,
        f"{repo}/refs/main": 0.0,
        f"{repo}/refs/{commit}": FOREVER,
        f"{repo}/refs/absent": NEGATIVE_TTL,
        f"{repo}/snapshots/{commit}": FOREVER,
        f"{repo}/snapshots/main": FOREVER,
        f"{repo}/snapshots/{commit_of('two')}": NEGATIVE_TTL,
        f"{repo}/.no_exist/{commit}/x.y": FOREVER,
        f"{repo}/.no_exist/{commit}/a.b": FOREVER,
        "models--acme--absent": NEGATIVE_TTL,
        "blobs": FOREVER,
    }
    assert {path: (await look(cache, path)).entry_ttl for path in kept} == kept


async def test_what_cannot_be_told_is_no_answer(cache: HubCache, hub: FakeHub) -> None:
    hub.error = HubUnreachable("it is down")
    with pytest.raises(HubUnreachable):
        await look(cache, "models--acme--unknown")


async def test_each_question_is_for_its_kind_of_node(cache: HubCache, hub: FakeHub) -> None:
    hub.put("acme/one", "one", "a.b")
    hub.names["Acme/One"] = "acme/one"
    directory, file = await look(cache, "models--acme--one"), await look(cache, "version.txt")
    link = await look(cache, "models--Acme--One")
    assert (directory.type, file.type) == (NodeType.DIRECTORY, NodeType.FILE)
    assert cache.read_link(link.inode) == b"models--acme--one"
    assert await cache.data(file.inode) == b"1"
    for each in (file, link):
        with pytest.raises(NotADirectory):
            cache.lines(each.inode)
        with pytest.raises(NotADirectory):
            await cache.lookup(each.inode, "x")
    for each in (directory, link):
        with pytest.raises(IsADirectory):
            await cache.data(each.inode)
    for each in (directory, file):
        with pytest.raises(NotASymlink):
            cache.read_link(each.inode)
    for stranger in (cache.lines, cache.attributes):
        with pytest.raises(StaleHandle):
            stranger(cache.root + 1)
