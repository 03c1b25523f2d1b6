"""The policy beside models that take bytes one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubfs.budget.policy import (
    LOW,
    Choice,
    Figures,
    Limits,
    capacity_of,
    choose,
    excess_of,
    excess_on_full_disk,
    limits_of,
    room_of,
)
from hubfs.config import CacheSettings
from hubfs.config.amounts import Amount
from hubfs.store.ledger import BLOB, Item

GIB = 1 << 30
sizes = st.integers(0, 1000)
figures = st.builds(Figures, taken=sizes, coming=sizes, available=sizes)
limits = st.builds(Limits, size=st.none() | sizes, floor=sizes)


def is_fine(limits: Limits, figures: Figures, deleted: int = 0) -> bool:
    """Whether all that is here and coming fits, after so much has been deleted."""
    taken, available = figures.taken - deleted, figures.available + deleted
    fits = limits.size is None or taken + figures.coming < limits.size
    return fits and available - figures.coming > limits.floor


@given(limits, figures)
def test_there_is_excess_exactly_when_something_does_not_fit(
    limits: Limits, figures: Figures
) -> None:
    assert (excess_of(limits, figures) == 0) == is_fine(limits, figures)
    assert (room_of(limits, figures) > 0) == is_fine(limits, figures)


@given(limits, figures)
def test_deleting_the_excess_leaves_room_for_a_while(limits: Limits, figures: Figures) -> None:
    wanted = excess_of(limits, figures)
    if wanted and limits.size is not None:
        left = figures.taken + figures.coming - wanted
        assert left <= max(limits.size * LOW, limits.size - 1)
    if wanted and limits.floor >= 10:
        free = figures.available - figures.coming + wanted
        assert free > limits.floor or is_fine(Limits(None, limits.floor), figures)


@given(st.sets(st.binary(min_size=1, max_size=2)), st.sets(st.binary(min_size=1, max_size=2)))
def test_what_cannot_go_after_all_is_kept(chosen: set[bytes], staying: set[bytes]) -> None:
    items = tuple(Item(name, 0.0, 1, 1) for name in sorted(chosen))
    choice = Choice(items).without(staying)
    assert {item.name for item in choice.going} == chosen - staying
    assert {item.name for item in choice.kept} == chosen & staying
    assert choice.freed == len(chosen - staying)


@given(limits, figures)
def test_room_is_what_may_come_before_something_must_go(limits: Limits, figures: Figures) -> None:
    room = room_of(limits, figures)
    if room > 1:
        more = Figures(figures.taken, figures.coming + room - 1, figures.available)
        assert is_fine(limits, more)
    after = Figures(figures.taken, figures.coming + max(room, 0), figures.available)
    assert not is_fine(limits, after)


@given(figures)
def test_a_disk_that_refused_bytes_gets_a_tenth_back(figures: Figures) -> None:
    wanted = excess_on_full_disk(figures)
    assert wanted >= 1
    assert wanted >= figures.taken - figures.taken * LOW


items = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=30).map(
    lambda drawn: [
        (Item(BLOB + number.to_bytes(32), float(number), 1, occupied), is_kept)
        for number, (occupied, is_kept) in enumerate(drawn)
    ]
)


@given(items, st.integers(1, 300), st.integers(1, 40))
def test_what_goes_is_the_shortest_run_of_the_oldest_that_is_enough(
    drawn: list[tuple[Item, bool]], wanted: int, most: int
) -> None:
    kept = {item.name for item, is_kept in drawn if is_kept}
    source = iter([item for item, _ in drawn])
    choice = choose(source, wanted, lambda item: item.name in kept, most)
    assert choice == naive(drawn, wanted, most)
    seen = len(choice.going) + len(choice.kept)
    assert list(source) == [item for item, _ in drawn][seen:]


def naive(drawn: list[tuple[Item, bool]], wanted: int, most: int) -> Choice:
    for count in range(1, min(most, len(drawn)) + 1):
        going = tuple(item for item, is_kept in drawn[:count] if not is_kept)
        if sum(item.occupied for item in going) >= wanted or count == min(most, len(drawn)):
            return Choice(going, tuple(item for item, is_kept in drawn[:count] if is_kept))
    return Choice()


@given(limits, figures, sizes)
def test_what_fits_beside_what_must_stay_is_in_the_budget_and_on_the_disk(
    limits: Limits, figures: Figures, fixed: int
) -> None:
    capacity = capacity_of(limits, figures, fixed)
    # With all else deleted and so much fetched, this is how it would be.
    taken, available = fixed + capacity, figures.available + figures.taken - fixed - capacity
    if capacity:
        assert available >= limits.floor
        assert limits.size is None or taken <= limits.size


def test_shares_are_of_the_disk_and_the_default_floor_spares_tiny_disks() -> None:
    assert limits_of(CacheSettings(), 1000 * GIB) == Limits(None, GIB)
    assert limits_of(CacheSettings(), 2 * GIB) == Limits(None, GIB // 10)
    half = CacheSettings(Amount(share=0.5), Amount())
    assert limits_of(half, 1000 * GIB) == Limits(500 * GIB, 0)
