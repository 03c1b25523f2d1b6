"""A cache of listings finds what a search through all of them does, however little it may keep."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import StaleHandle
from hubfs.fs.listings import Listings, NotInMemory, Resident
from tests.fs.shelf import SNAPSHOT, Shelf

names = st.sampled_from(["a", "b", "c", "dd", "é"])
paths = st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), min_size=1, max_size=40)


@given(paths, st.sampled_from([0, 500, 1 << 20]), st.sampled_from([1, 2, 99]), st.data())
def test_any_entry_is_found_in_any_order(
    paths: list[str], largest: int, most: int, data: st.DataObject
) -> None:
    shelf = Shelf(paths, most)
    listings = Listings(shelf, largest)
    everything = {entry.ordinal: (listing, entry) for listing in shelf.every for entry in listing}
    wanted = st.lists(st.sampled_from(sorted(everything)), max_size=50)
    for ordinal in data.draw(wanted):
        listing, entry = listings.entry(SNAPSHOT, ordinal)
        assert (listing.path, entry) == (everything[ordinal][0].path, everything[ordinal][1])


@given(paths, st.sampled_from([0, 500, 1 << 20]))
def test_every_directory_is_found_by_its_first_child(paths: list[str], largest: int) -> None:
    shelf = Shelf(paths)
    listings = Listings(shelf, largest)
    for listing in shelf.every:
        assert listings.containing(SNAPSHOT, listing.first).names == listing.names


def test_a_name_in_a_directory_of_many_listings_is_found_by_loading_few() -> None:
    shelf = Shelf([f"{number:04}" for number in range(1000)], most=2)
    listings = Listings(shelf)
    root = listings.containing(SNAPSHOT, 1)
    shelf.loads = 0
    found = listings.find(SNAPSHOT, root, b"0777")
    assert found is not None
    assert found[1].name == b"0777"
    assert listings.find(SNAPSHOT, root, b"0777x") is None
    assert shelf.loads <= 10


def test_a_directory_of_many_listings_is_read_from_its_middle_without_those_before() -> None:
    shelf = Shelf([f"{number:04}" for number in range(1000)], most=10)
    listings = Listings(shelf)
    root = listings.containing(SNAPSHOT, 1)
    shelf.loads = 0
    parts = listings.parts(SNAPSHOT, root, 985)
    assert [part.names[at:] for part, at in parts] == [
        [b"%04d" % number for number in range(985, 990)],
        [b"%04d" % number for number in range(990, 1000)],
    ]
    assert shelf.loads == 2


def test_a_listing_is_loaded_once() -> None:
    shelf = Shelf([f"dir/{number:03}" for number in range(100)])
    listings = Listings(shelf)
    for _ in range(3):
        for entry in shelf.every[1]:
            assert listings.entry(SNAPSHOT, entry.ordinal)[1] == entry
    assert shelf.loads == 1


def test_what_was_not_used_for_longest_is_dropped_first() -> None:
    shelf = Shelf(["a/x", "b/x", "c/x"])
    directories = shelf.every[1:]
    listings = Listings(shelf, largest=sum(each.weight for each in directories[:2]))
    first, second, third = (each.first for each in directories)
    for ordinal in (first, second, first, third):
        listings.entry(SNAPSHOT, ordinal)
    assert shelf.loads == 3
    listings.entry(SNAPSHOT, first)
    assert shelf.loads == 3
    listings.entry(SNAPSHOT, second)
    assert shelf.loads == 4


def test_an_empty_directory_is_a_listing_too() -> None:
    shelf = Shelf([])
    listings = Listings(shelf)
    for _ in range(2):
        assert len(listings.containing(SNAPSHOT, 1)) == 0
    assert shelf.loads == 1


def test_what_is_not_there_is_stale() -> None:
    listings = Listings(Shelf(["a"]))
    for number, ordinal in ((SNAPSHOT, 2), (SNAPSHOT, 99), (SNAPSHOT + 1, 1)):
        with pytest.raises(StaleHandle):
            listings.entry(number, ordinal)


def test_who_must_not_wait_finds_what_is_in_memory() -> None:
    shelf = Shelf([f"dir/{number:03}" for number in range(10)])
    listings = Listings(shelf)
    root = listings.containing(SNAPSHOT, 1)
    resident, first_child = Resident(listings), root.entry(0).first_child
    assert resident.find(SNAPSHOT, root, b"dir") == listings.find(SNAPSHOT, root, b"dir")
    with pytest.raises(NotInMemory):
        resident.containing(SNAPSHOT, first_child)
    loaded = listings.containing(SNAPSHOT, first_child)
    assert resident.containing(SNAPSHOT, first_child) is loaded


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Let threads interrupt each other as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switches")
def test_threads_that_find_and_drop_listings_at_once_find_what_is_there() -> None:
    shelf = Shelf([f"{number:03}" for number in range(400)], most=4)
    listings = Listings(shelf, largest=2000)
    root = listings.containing(SNAPSHOT, 1)

    def find(seed: int) -> None:
        some = random.Random(seed)
        for number in some.choices(range(400), k=1500):
            found = listings.find(SNAPSHOT, root, b"%03d" % number)
            assert found is not None
            assert found[1].name == b"%03d" % number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(find, range(4)))
