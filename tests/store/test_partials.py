from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubfs.errors import StoreFull, StoreReadOnly
from hubfs.model.content import Content
from hubfs.model.ranges import RangeSet
from hubfs.store.partials import Partial
from hubfs.store.store import Store
from tests.store.contents import lfs_content
from tests.store.disks import fill_up

DATA = bytes(range(256)) * 40
CONTENT = lfs_content(DATA)


def write(partial: Partial, start: int, stop: int) -> None:
    partial.write(memoryview(DATA)[start:stop], start)


def read(partial: Partial, start: int, stop: int) -> bytes:
    return os.pread(partial.descriptor, stop - start, start)


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.directory)


def left_with(store: Store, *ranges: tuple[int, int]) -> Path:
    """Leave a partial that durably holds `ranges`; return its file."""
    partial = store.partials.open(CONTENT)
    for start, stop in ranges:
        write(partial, start, stop)
    partial.claim(RangeSet(ranges))
    partial.close()
    return partial.path


def test_a_new_partial_has_its_full_size_and_holds_nothing(store: Store) -> None:
    partial = store.partials.open(CONTENT)
    assert os.fstat(partial.descriptor).st_size == len(DATA)
    assert os.fstat(partial.descriptor).st_blocks == 0
    assert not partial.held
    partial.close()


def test_what_was_claimed_is_held_after_reopening(store: Store) -> None:
    left_with(store, (0, 100), (5000, 6000))
    store = reopened(store)
    partial = store.partials.open(CONTENT)
    assert partial.held == RangeSet([(0, 100), (5000, 6000)])
    assert read(partial, 5000, 6000) == DATA[5000:6000]
    assert store.partials.held_bytes(CONTENT) == 1100
    partial.close()
    store.close()


def test_what_was_written_and_not_claimed_is_not_held(store: Store) -> None:
    partial = store.partials.open(CONTENT)
    write(partial, 0, 100)
    partial.claim(RangeSet([(0, 100)]))
    write(partial, 100, 200)
    partial.close()
    partial = store.partials.open(CONTENT)
    assert partial.held == RangeSet([(0, 100)])
    partial.close()


def test_a_file_that_was_never_claimed_is_cleaned_away(store: Store) -> None:
    partial = store.partials.open(CONTENT)
    write(partial, 0, 100)
    partial.close()
    assert store.partials.clean() == [CONTENT.key]
    assert not partial.path.exists()


def test_a_claimed_file_is_not_cleaned_away(store: Store) -> None:
    path = left_with(store, (0, 100))
    assert store.partials.clean() == []
    assert path.exists()
    assert store.partials.held_bytes(CONTENT) == 100


def test_a_record_without_its_file_is_cleaned_away(store: Store) -> None:
    left_with(store, (0, 100)).unlink()
    assert store.partials.clean() == []
    assert store.partials.held_bytes(CONTENT) == 0


def test_cleaning_leaves_directories_alone(store: Store) -> None:
    (store.directory / "partial" / "lost+found").mkdir()
    assert store.partials.clean() == []


def test_a_partial_removed_behind_our_back_begins_anew(store: Store) -> None:
    left_with(store, (0, 100)).unlink()
    partial = store.partials.open(CONTENT)
    assert not partial.held
    partial.close()


@pytest.mark.parametrize("size", [0, 50, len(DATA) - 1, len(DATA) + 1])
def test_a_partial_cut_behind_our_back_begins_anew(store: Store, size: int) -> None:
    os.truncate(left_with(store, (0, 100), (len(DATA) - 1, len(DATA))), size)
    partial = store.partials.open(CONTENT)
    assert not partial.held
    assert os.fstat(partial.descriptor).st_size == len(DATA)
    partial.close()


def test_a_discarded_partial_is_gone_but_still_reads(store: Store) -> None:
    left_with(store, (0, 100))
    wrong = store.partials.open(CONTENT)
    wrong.discard()
    fresh = store.partials.open(CONTENT)
    assert not fresh.held
    assert read(wrong, 0, 100) == DATA[:100]
    assert read(fresh, 0, 100) == bytes(100)
    wrong.close()
    fresh.close()


def test_contents_of_different_sizes_never_share_a_partial(store: Store) -> None:
    left_with(store, (0, 100))
    liar = store.partials.open(Content(7, sha256=CONTENT.sha256))
    assert not liar.held
    liar.close()
    assert store.partials.held_bytes(CONTENT) == 100


def test_threads_write_to_one_partial_at_once(store: Store) -> None:
    partial = store.partials.open(CONTENT)
    starts = range(0, len(DATA), 97)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda start: write(partial, start, min(start + 97, len(DATA))), starts))
    assert read(partial, 0, len(DATA)) == DATA
    partial.close()


offsets = st.integers(0, len(DATA))
ranges = st.lists(st.tuples(offsets, offsets).map(sorted).map(tuple), max_size=6)


@given(st.lists(ranges, max_size=4))
@settings(max_examples=25)
def test_the_last_claim_is_what_counts(
    tmp_path_factory: pytest.TempPathFactory, claims: list[list[tuple[int, int]]]
) -> None:
    store = Store(tmp_path_factory.mktemp("claims"))
    for claim in claims:
        left_with(store, *claim)
    store = reopened(store)
    expected = RangeSet(claims[-1]) if claims else RangeSet()
    assert store.partials.held_bytes(CONTENT) == expected.total
    partial = store.partials.open(CONTENT)
    assert partial.held == expected
    assert all(read(partial, *each) == DATA[slice(*each)] for each in partial.held)
    partial.close()
    store.close()


# --- full disks ------------------------------------------------------------------------


def test_a_full_disk_takes_no_more_and_keeps_what_it_has(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    large = lfs_content(bytes(2 << 20))
    partial = store.partials.open(large)
    write(partial, 0, 100)
    partial.claim(RangeSet([(0, 100)]))
    with pytest.raises(StoreFull, match="No space left"):
        partial.write(memoryview(bytes(2 << 20)), 4096)
    partial.close()
    store = reopened(store)
    partial = store.partials.open(large)
    assert partial.held == RangeSet([(0, 100)])
    assert read(partial, 0, 100) == DATA[:100]
    partial.close()
    store.close()


def test_a_claim_on_a_full_disk_claims_nothing(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    partial = store.partials.open(CONTENT)
    write(partial, 0, 100)
    filler = fill_up(tiny_disk)
    with pytest.raises(StoreFull):
        partial.claim(RangeSet([(0, 100)]))
    assert store.partials.held_bytes(CONTENT) == 0
    filler.unlink()
    partial.claim(RangeSet([(0, 100)]))
    assert store.partials.held_bytes(CONTENT) == 100
    partial.close()
    store.close()


def test_a_size_that_no_disk_can_have_is_refused(store: Store) -> None:
    with pytest.raises(StoreReadOnly, match="cannot write"):
        store.partials.open(Content(1 << 62, sha256="ab" * 32))


def test_nothing_stays_open_when_a_partial_is_refused(store: Store) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StoreReadOnly):
        store.partials.open(Content(1 << 62, git_oid="ab" * 20))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_one_whose_owner_died_as_it_became_a_blob_can_be_written(store: Store) -> None:
    path = left_with(store, (0, 100))
    path.chmod(0o444)
    partial = store.partials.open(CONTENT)
    assert partial.held == RangeSet([(0, 100)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    partial.close()
