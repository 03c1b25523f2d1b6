"""The tree as one object, on a real store and a local Hub, without a kernel."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.config import Fill
from hubfs.errors import (
    AccessDenied,
    IsADirectory,
    NoSuchAttribute,
    NotADirectory,
    NotASymlink,
    StaleHandle,
)
from hubfs.fetch.plan import BLOCK
from hubfs.fs.attributes import NEVER_INODE, NodeType
from hubfs.fs.filesystem import Filesystem
from hubfs.fs.inodes import ROOT
from hubfs.model.content import MIB
from hubfs.store.links import wait_until_still
from hubfs.store.reading import read_blocking
from tests.fetch.rig import PATIENCE, until
from tests.jobs.rig import engine
from tests.localhub import LocalHub
from tests.mount.looking import open_files

DATA = bytes(range(256)) * 50
LARGE = os.urandom(24 << 20)
STATE, HERE = b"user.hubfs.state", b"complete"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
async def tree(local_hub: LocalHub, tmp_path: Path) -> AsyncIterator[Filesystem]:
    local_hub.create_repo("acme/model", {"model.bin": DATA, "sub/empty": b""})
    local_hub.create_repo("acme/large", {"model.bin": LARGE})
    local_hub.create_repo("acme/gated", {"model.bin": DATA[::-1]}, gated="auto")
    local_hub.add_alias("old", "acme/model")
    async with engine(local_hub, tmp_path / "cache") as parts:
        yield parts.filesystem


async def inode(tree: Filesystem, path: str) -> int:
    found = ROOT
    for part in path.split("/"):
        found = (await tree.lookup(found, part.encode())).inode
    return found


async def test_a_file_is_read_through_a_handle(tree: Filesystem) -> None:
    handle = await tree.open_file(await inode(tree, "acme/model/model.bin"))
    for offset, size in ((0, 10), (100, 5000), (len(DATA) - 3, 100)):
        where = await tree.locate(handle, offset, size)
        assert not isinstance(where, bytes)
        assert read_blocking(*where) == DATA[offset : offset + size]
    assert await tree.locate(handle, len(DATA), 10) == b""
    tree.close_file(handle)
    with pytest.raises(StaleHandle):
        await tree.locate(handle, 0, 10)


async def test_what_is_here_is_at_hand_and_nothing_else_is(tree: Filesystem) -> None:
    handle = await tree.open_file(await inode(tree, "acme/large/model.bin"))
    assert tree.at_hand(handle, 0, 10) is None
    await tree.locate(handle, 0, 2 * MIB)
    for offset, size in ((0, 10), (MIB, MIB)):
        where = tree.at_hand(handle, offset, size)
        assert where is not None
        assert read_blocking(*where) == LARGE[offset : offset + size]
    assert tree.at_hand(handle, 20 * MIB, 10) is None
    assert tree.at_hand(handle, len(LARGE), 10) is None
    await tree.locate(handle, len(LARGE) - 10, 10)
    end = tree.at_hand(handle, len(LARGE) - 10, 100)
    assert end is not None
    assert read_blocking(*end) == LARGE[-10:]
    tree.close_file(handle)
    assert tree.at_hand(handle, 0, 10) is None


async def test_what_is_read_at_hand_counts_as_read(tree: Filesystem) -> None:
    """Whoever reads a third of a file gets the rest of it, though almost none was waited for."""
    file = await inode(tree, "acme/large/model.bin")
    handle = await tree.open_file(file)
    with trio.fail_after(PATIENCE):
        for block in range(0, len(LARGE) // 3, BLOCK):
            await tree.locate(handle, block + BLOCK - 1, 1)
            found = tree.at_hand(handle, block, BLOCK)
            assert found is not None
            tree.note_read(handle, found)
        await until(lambda: tree.extended_attribute(file, STATE) == HERE)
    tree.close_file(handle)


async def test_an_open_file_that_gets_another_name_is_never_read_unseen(
    tree: Filesystem, tmp_path: Path
) -> None:
    handle = await tree.open_file(await inode(tree, "acme/model/model.bin"))
    await tree.locate(handle, 0, 10)
    assert tree.at_hand(handle, 0, 10) is not None
    blob = tmp_path / "cache/blobs/sha256" / SHA256[:2] / SHA256
    exported = tmp_path / "exported"
    os.link(blob, exported)
    assert tree.at_hand(handle, 0, 10) is None
    assert await tree.locate(handle, 0, 10) == DATA[:10]
    exported.chmod(0o644)
    with exported.open("r+b") as file:
        file.write(b"wrong")
    where = await tree.locate(handle, 0, 10)
    assert not isinstance(where, bytes)
    assert read_blocking(*where) == DATA[:10]
    tree.close_file(handle)


@pytest.mark.parametrize("is_opened_anew", [False, True])
async def test_an_open_file_that_was_written_by_a_name_that_is_gone_is_never_read_unseen(
    tree: Filesystem, tmp_path: Path, is_opened_anew: bool
) -> None:
    handle = await tree.open_file(await inode(tree, "acme/model/model.bin"))
    await tree.locate(handle, 0, 10)
    if is_opened_anew:
        tree.close_file(handle)
        handle = await tree.open_file(await inode(tree, "acme/model/model.bin"))
    exported = tmp_path / "exported"
    os.link(tmp_path / "cache/blobs/sha256" / SHA256[:2] / SHA256, exported)
    exported.chmod(0o644)
    wait_until_still(exported.stat())
    with exported.open("r+b") as file:
        file.write(b"wrong")
    exported.unlink()
    assert tree.at_hand(handle, 0, 10) is None
    assert tree.backing_descriptor(handle) is None
    where = await tree.locate(handle, 0, 10)
    assert not isinstance(where, bytes)
    assert read_blocking(*where) == DATA[:10]
    tree.close_file(handle)


async def test_an_open_file_that_is_touched_again_and_again_takes_no_more_descriptors(
    tree: Filesystem, tmp_path: Path
) -> None:
    handle = await tree.open_file(await inode(tree, "acme/model/model.bin"))
    await tree.locate(handle, 0, 10)
    blob = tmp_path / "cache/blobs/sha256" / SHA256[:2] / SHA256
    counts = []
    for number in range(4):
        exported = tmp_path / str(number)
        os.link(blob, exported)
        assert await tree.locate(handle, 0, 10) == DATA[:10]
        exported.touch()
        assert await tree.locate(handle, 0, 10) == DATA[:10]
        exported.unlink()
        # The descriptor by which it was filled can write too: it is looked at at each read.
        assert await tree.locate(handle, 0, 10) == DATA[:10]
        counts.append(sum(str(blob) in path for path in open_files(os.getpid())))
    assert counts[1:] == counts[:1] * 3
    tree.close_file(handle)
    assert not any(str(blob) in path for path in open_files(os.getpid()))


async def test_what_is_in_memory_of_a_repo_is_told_at_once_and_nothing_else_is(
    tree: Filesystem,
) -> None:
    """Who answers the kernel in between must not wait, be it for a page of the index."""
    file = await inode(tree, "acme/model/model.bin")
    view = await inode(tree, "acme/model")
    assert tree.known_entry(view, b"model.bin") == await tree.lookup(view, b"model.bin")
    assert tree.known_entry(view, b"none") == await tree.lookup(view, b"none")
    assert tree.known_attributes(file) is None
    tree.attributes(file)
    for each in (file, view):
        assert tree.known_attributes(each) == tree.attributes(each)
    assert tree.known_entry(ROOT, b"acme") is None
    assert tree.known_attributes(ROOT) is None


async def test_a_directory_is_read_through_a_handle(tree: Filesystem) -> None:
    handle = await tree.open_directory(await inode(tree, "acme/model"))
    assert tree.is_frozen_directory(handle)
    assert [line.name for line in tree.read_directory(handle, 0)] == [b"model.bin", b"sub"]
    assert [line.name for line in tree.read_directory(handle, 1)] == [b"sub"]
    tree.close_directory(handle)
    with pytest.raises(StaleHandle):
        tree.read_directory(handle, 0)


async def test_a_listing_above_the_repos_is_what_it_was_when_it_was_opened(
    tree: Filesystem,
) -> None:
    org = await inode(tree, "acme")
    before = await tree.open_directory(org)
    await inode(tree, "acme/model")
    after = await tree.open_directory(org)
    assert not tree.is_frozen_directory(before)
    assert list(tree.read_directory(before, 0)) == []
    assert [line.name for line in tree.read_directory(after, 0)] == [b"model"]


async def test_all_ways_to_an_inode_tell_the_same(tree: Filesystem) -> None:
    await inode(tree, "acme/model")  # known, and so listed
    for path in ("acme", "acme/model", "acme/model/sub", "acme/model/model.bin", "datasets"):
        parent, _, name = path.rpartition("/")
        above = await inode(tree, parent) if parent else ROOT
        found = await tree.lookup(above, name.encode())
        assert tree.attributes(found.inode)._replace(entry_ttl=found.entry_ttl) == found
        lines = tree.read_directory(await tree.open_directory(above), 0)
        assert found in [line.attributes for line in lines]


async def test_a_request_of_the_wrong_kind_is_refused(tree: Filesystem) -> None:
    file = await inode(tree, "acme/model/model.bin")
    directory = await inode(tree, "acme/model/sub")
    with pytest.raises(NotADirectory):
        await tree.open_directory(file)
    with pytest.raises(NotADirectory):
        await tree.lookup(file, b"below")
    for each in (ROOT, await inode(tree, "acme"), await inode(tree, "acme/model"), directory):
        with pytest.raises(IsADirectory):
            await tree.open_file(each)
        with pytest.raises(NotASymlink):
            tree.read_link(each)
    with pytest.raises(NotASymlink):
        tree.read_link(file)


async def test_a_link_can_be_read_and_not_entered(tree: Filesystem) -> None:
    link = await tree.lookup(ROOT, b"old")
    assert link.type is NodeType.SYMLINK
    assert tree.read_link(link.inode) == b"acme/model"
    with pytest.raises(NotADirectory):
        await tree.open_directory(link.inode)
    with pytest.raises(NotADirectory):
        await tree.lookup(link.inode, b"model.bin")


@pytest.mark.parametrize("inode", [0, 4, 77 << 32, (77 << 32) + 5])
async def test_an_inode_that_was_never_given_is_stale(tree: Filesystem, inode: int) -> None:
    with pytest.raises(StaleHandle):
        tree.attributes(inode)


async def test_a_gated_file_is_refused_when_it_is_opened(tree: Filesystem) -> None:
    with pytest.raises(AccessDenied):
        await tree.open_file(await inode(tree, "acme/gated/model.bin"))


async def test_a_name_that_is_not_utf8_is_absent(tree: Filesystem) -> None:
    for parent in (ROOT, await inode(tree, "acme"), await inode(tree, "acme/model")):
        assert (await tree.lookup(parent, b"\xff")).inode == NEVER_INODE


async def test_an_attribute_that_is_not_ours_is_absent(tree: Filesystem) -> None:
    file = await inode(tree, "acme/model/model.bin")
    assert tree.extended_attribute(file, b"user.hubfs.path") == b"model.bin"
    for name in (b"user.hubfs.absent", b"user.other", b"security.capability", b"user.\xff"):
        with pytest.raises(NoSuchAttribute):
            tree.extended_attribute(file, name)
    assert tree.extended_attributes(ROOT) == {}


async def test_small_files_that_follow_are_fetched_for_who_reads_in_order(
    local_hub: LocalHub, tmp_path: Path
) -> None:
    files = {f"{number:02}.txt": str(number).encode() * 9 for number in range(12)}
    local_hub.create_repo("acme/many", files)
    async with engine(local_hub, tmp_path / "cache") as parts:
        tree = parts.filesystem
        for name in sorted(files)[:4]:
            tree.close_file(await tree.open_file(await inode(tree, f"acme/many/{name}")))
        inodes = [await inode(tree, f"acme/many/{name}") for name in sorted(files)]

        def states() -> list[bytes]:
            return [tree.extended_attribute(each, STATE) for each in inodes]

        await until(lambda: states().count(HERE) == 4 and not parts.fetcher.opened)
        # The first four were only opened.
        assert states() == [b"absent"] * 4 + [HERE] * 4 + [b"absent"] * 4


@pytest.mark.parametrize("size", [2, 2 << 20])
async def test_nothing_is_fetched_ahead_of_large_files_or_when_told_so(
    local_hub: LocalHub, tmp_path: Path, size: int
) -> None:
    files = {f"{number:02}.bin": bytes([number]) * size for number in range(8)}
    local_hub.create_repo("acme/many", files)
    fill = Fill.AUTO if size > 2 else Fill.NEVER
    async with engine(local_hub, tmp_path / "cache", fill=fill) as parts:
        tree = parts.filesystem
        for name in files:
            tree.close_file(await tree.open_file(await inode(tree, f"acme/many/{name}")))
        await trio.testing.wait_all_tasks_blocked()  # what was begun has opened its file by now
        assert not parts.fetcher.opened
