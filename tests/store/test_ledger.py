"""The ledger beside a dict that is looked through whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from hubfs.store.index import Index, Transaction
from hubfs.store.ledger import BLOB, PARTIAL, Item, Ledger, partial_name
from hubfs.store.records import Totals
from hubfs.store.store import Store
from tests.store.contents import admit, fetch, git_content, lfs_content, sha256_of

NAMES = [BLOB + bytes([number]) * 32 for number in range(6)]
NAMES += [partial_name(lfs_content(bytes([number]))) for number in range(4)]
names = st.sampled_from(NAMES)
moments = st.integers(0, 1000).map(float)
changes = st.one_of(
    st.tuples(st.just("put"), names, moments, st.integers(0, 99), st.integers(0, 9)),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("touch"), names, moments),
)


@contextmanager
def opened() -> Iterator[Index]:
    with TemporaryDirectory() as directory:
        index = Index(Path(directory), map_size=1 << 20)
        yield index
        index.close()


@settings(max_examples=40)
@given(st.lists(changes, max_size=40))
def test_the_order_and_the_totals_are_those_of_a_naive_model(steps: list[tuple[object]]) -> None:
    model: dict[bytes, Item] = {}  # in the order of use
    with opened() as index:
        ledger = Ledger(index)
        index.write(lambda txn: apply(ledger, txn, steps))
        for step in steps:
            imitate(model, step)
        for kind in (BLOB, PARTIAL):
            expected = [name for name in model if name[:1] == kind]
            assert [item.name for item in ledger.oldest_of(kind)] == expected
        assert {item.name for item in ledger.oldest()} == set(model)
        assert ledger.totals() == summed(model)


def apply(ledger: Ledger, txn: Transaction, steps: list[tuple[object]]) -> None:
    for step in steps:
        match step:
            case ("put", bytes(name), float(moment), int(size), int(occupied)):
                ledger.put(txn, Item(name, moment, size, occupied))
            case ("delete", bytes(name)):
                ledger.delete(txn, name)
            case ("touch", bytes(name), float(moment)):
                ledger.touch(txn, name, moment)


def imitate(model: dict[bytes, Item], step: tuple[object, ...]) -> None:
    """Whatever the clock says, what is used last stands last."""
    match step:
        case ("put", bytes(name), float(moment), int(size), int(occupied)):
            model.pop(name, None)
            model[name] = Item(name, moment, size, occupied)
        case ("delete", bytes(name)):
            model.pop(name, None)
        case ("touch", bytes(name), _) if name in model:
            model[name] = model.pop(name)


def summed(model: dict[bytes, Item]) -> Totals:
    blobs = [item for item in model.values() if item.is_blob]
    partials = [item for item in model.values() if not item.is_blob]
    return Totals(
        len(blobs),
        sum(item.size for item in blobs),
        sum(item.occupied for item in blobs),
        len(partials),
        sum(item.occupied for item in partials),
    )


def test_finding_the_oldest_reads_a_page_and_not_all(store: Store) -> None:
    items = [Item(BLOB + number.to_bytes(32), float(number), 1, 1) for number in range(3000)]

    def change(txn: Transaction) -> None:
        for item in items:
            store.ledger.put(txn, item)

    store.index.write(change)
    ledger = Counting(store.index)
    assert list(islice(ledger.oldest(), 3)) == items[:3]
    assert ledger.looks < 200


class Counting(Ledger):
    """Counts the items that are looked at."""

    looks = 0

    def get(self, txn: Transaction, name: bytes) -> Item | None:
        self.looks += 1
        return super().get(txn, name)


def test_what_is_admitted_held_and_used_stands_in_the_ledger(store: Store) -> None:
    admit(store, lfs_content(b"a" * 10_000), b"a" * 10_000)
    admit(store, git_content(b"b" * 5), b"b" * 5)
    fetch(store, lfs_content(b"c" * 20_000), b"c" * 20_000).close()
    totals = store.ledger.totals()
    assert (totals.blobs, totals.size, totals.partials) == (2, 10_005, 1)
    on_disk = [path.stat().st_blocks * 512 for path in store.directory.glob("blobs/sha256/*/*")]
    assert totals.occupied == sum(on_disk) > 0
    assert totals.partly >= 20_000
    store.note_used({lfs_content(b"a" * 10_000): 1e10})
    assert [item.sha256 for item in store.ledger.oldest_of(BLOB)] == [
        sha256_of(b"b" * 5),
        sha256_of(b"a" * 10_000),
    ]


def test_an_index_of_an_earlier_hubfs_gets_a_ledger_once(store: Store) -> None:
    for number in range(5):
        data = b"%d" % number * 3000
        admit(store, (lfs_content, git_content)[number % 2](data), data)
    fetch(store, lfs_content(b"partly"), b"partly").close()
    before = store.ledger.totals()
    names = [item.name for item in store.ledger.oldest_of(BLOB)]
    oids = [item.oid for item in store.ledger.oldest_of(BLOB)]

    def take_away(txn: Transaction) -> None:
        for table in ("ledger", "recency"):
            txn.drop(store.index.table(table), delete=False)
        for key in (b"totals", b"has-ledger"):
            txn.delete(key, db=store.index.table("meta"))

    store.index.write(take_away)
    store.close()
    store = Store(store.directory)
    assert store.ledger.totals() == before
    assert [item.name for item in store.ledger.oldest_of(BLOB)] == names
    assert [item.oid for item in store.ledger.oldest_of(BLOB)] == oids
    store.close()


def test_the_totals_can_be_read_in_years(store: Store) -> None:
    admit(store, lfs_content(b"data"), b"data")
    with store.index.read() as txn:
        found = txn.get(b"totals", db=store.index.table("meta"))
    assert json.loads(found)["blobs"] == 1
