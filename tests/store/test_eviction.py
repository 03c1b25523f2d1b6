"""Deleting: what is on its way out is not here, and what comes back waits for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hubfs.store.ledger import blob_name, partial_name
from hubfs.store.store import Store
from tests.mount.waiting import PATIENCE, wait_until
from tests.store.contents import admit, fetch, git_content, lfs_content, read, sha256_of
from tests.store.disks import fill_up

DATA = b"some weights" * 1000


def leave(store: Store, *names: bytes) -> list[bytes]:
    store.leaving.mark(names)
    return [*names]


def test_what_is_leaving_is_not_here_though_its_file_is(store: Store) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    admit(store, git_content(DATA), DATA)
    with store.leaving.ending(leave(store, blob_name(sha256_of(DATA)))):
        assert path.exists()
        for content in (lfs_content(DATA), git_content(DATA)):
            assert store.blobs.find(content) is None
            assert read(store, content) is None
            assert not store.blobs.recover(content)
    assert read(store, lfs_content(DATA)) == DATA


def test_what_comes_back_waits_until_its_like_is_gone(store: Store) -> None:
    admit(store, lfs_content(DATA), DATA)
    (item,) = store.ledger.oldest()
    partial = fetch(store, git_content(DATA), DATA)  # nobody knows yet that it is the same
    leave(store, item.name)
    began = threading.Event()

    def come_back() -> None:
        began.set()
        store.blobs.admit(partial.descriptor, partial.path, sha256_of(DATA), git_content(DATA))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(come_back)
        began.wait()
        assert not coming.done()
        store.eviction.carry_out([item])
        coming.result()
    partial.close()
    assert read(store, git_content(DATA)) == read(store, lfs_content(DATA)) == DATA


def test_what_is_adopted_waits_until_its_like_is_gone(store: Store, tmp_path: Path) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    (item,) = store.ledger.oldest()
    found = tmp_path / "found"
    found.write_bytes(DATA)
    leave(store, item.name)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(store.blobs.put_in_place, found, sha256_of(DATA))
        with pytest.raises(TimeoutError):
            coming.result(0.2)
        store.eviction.carry_out([item])
        coming.result(PATIENCE)
    assert path.read_bytes() == DATA


def test_what_is_coming_back_is_not_taken_for_what_was_there_before(store: Store) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    (item,) = store.ledger.oldest()
    partial = fetch(store, git_content(DATA), DATA)  # nobody knows yet that it is the same
    old = path.stat().st_ino
    with ThreadPoolExecutor(2) as pool:
        try:
            busy = threading.Event()
            pool.submit(store.index.write, lambda _: busy.wait(PATIENCE))
            coming = pool.submit(
                store.blobs.admit,
                partial.descriptor,
                partial.path,
                sha256_of(DATA),
                partial.content,
            )
            wait_until(lambda: path.stat().st_ino != old)  # and the index cannot know it yet
            staying = store.leaving.mark([item.name])
        finally:
            busy.set()
        coming.result()
    partial.close()
    store.eviction.carry_out([each for each in [item] if each.name not in staying])
    assert read(store, git_content(DATA)) == read(store, lfs_content(DATA)) == DATA
    assert not store.leaving.mark([item.name])


def test_a_partial_that_is_begun_anew_waits_until_the_old_one_is_gone(store: Store) -> None:
    content = lfs_content(DATA)
    fetch(store, content, DATA).close()
    (item,) = store.ledger.oldest()
    leave(store, partial_name(content))
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(store.partials.open, content)
        store.eviction.carry_out([item])
        partial = opening.result()
    assert not partial.held
    assert partial.path.exists()
    partial.close()


def test_on_a_full_disk_the_files_go_though_the_index_has_no_room(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    bodies = [bytes([number]) * 40_000 for number in range(6)]
    for data in bodies:
        admit(store, lfs_content(data), data)
    fill_up(tiny_disk)
    items = list(store.ledger.oldest())[:4]
    store.eviction.carry_out(items)
    assert [read(store, lfs_content(data)) for data in bodies] == [None] * 4 + bodies[4:]
    assert store.space().available >= sum(item.occupied for item in items) // 2
    assert store.ledger.totals().blobs == 2
    store.close()
