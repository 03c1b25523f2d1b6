"""A plan beside a naive model that knows the state of every unit of the file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from hubfs.fetch.plan import BLOCK, WHOLE_UP_TO, WITH_DEMAND, Plan, Priority
from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange, RangeSet

UNIT = MIB // 4
LARGEST_FILE = 48 * MIB

sizes = st.integers(1, LARGEST_FILE)
places = st.integers(0, LARGEST_FILE // UNIT)
priorities = st.sampled_from(Priority)
pieces = st.integers(1, 16).map(lambda count: count * MIB)


class Naive:
    """Each unit is held, claimed or missing; the last one may be short."""

    def __init__(self, size: int, held: set[int]) -> None:
        self.size = size
        self.count = -(-size // UNIT)
        self.held = {unit for unit in held if unit < self.count}
        self.claimed: set[int] = set()

    def units(self, span: ByteRange) -> set[int]:
        """The units of a range of whole units."""
        assert span.start % UNIT == 0
        assert span.stop % UNIT == 0 or span.stop == self.size
        return set(range(span.start // UNIT, -(-span.stop // UNIT)))

    def span(self, first: int, count: int) -> ByteRange:
        return ByteRange(first * UNIT, (first + count) * UNIT).clipped(self.size)

    def around(self, span: ByteRange) -> set[int]:
        """The units that a reader of `span` makes wanted: those of its blocks, or all."""
        if self.size <= WHOLE_UP_TO:
            return set(range(self.count))
        return self.units(span.aligned(BLOCK, self.size))

    @property
    def missing(self) -> set[int]:
        return set(range(self.count)) - self.held - self.claimed

    def bytes_in(self, units: set[int]) -> set[tuple[int, int]]:
        return {(unit, min(UNIT, self.size - unit * UNIT)) for unit in units}


class PlanBesideANaiveModel(RuleBasedStateMachine):
    """Whatever is asked, claimed and received, both agree on the state of every unit."""

    claims = Bundle("claims")
    demands = Bundle("demands")

    @initialize(size=sizes, held=st.frozensets(places, max_size=20))
    def begin(self, size: int, held: frozenset[int]) -> None:
        self.naive = Naive(size, set(held))
        spans = (self.naive.span(unit, 1) for unit in self.naive.held)
        self.plan = Plan(size, RangeSet(spans))

    # --- what is wanted ----------------------------------------------------------------

    @rule(target=demands, first=places, count=st.integers(1, 12))
    def demand(self, first: int, count: int) -> ByteRange:
        span = self.naive.span(first % self.naive.count, count)
        self.plan.demands.append(span)
        return span

    @rule(span=consumes(demands))
    def withdraw(self, span: ByteRange) -> None:
        self.plan.demands.remove(span)

    @rule(first=places, count=st.integers(1, 12), waited=st.booleans())
    def read(self, first: int, count: int, waited: bool) -> None:
        self.plan.streams.note_read(self.naive.span(first, count), waited=waited)

    @rule(is_wanted=st.booleans())
    def want_a_fill(self, is_wanted: bool) -> None:
        self.plan.wants_fill = is_wanted

    @rule(count=st.integers(0, 2))
    def want_it_prefetched(self, count: int) -> None:
        self.plan.prefetchers = count

    # --- what is claimed, and what becomes of it ---------------------------------------

    @rule(target=claims, priority=priorities, largest=pieces)
    def claim(self, priority: Priority, largest: int) -> object:
        wanted = self.wanted(priority)
        claim = self.plan.claim_next(priority, largest)
        if claim is None:
            assert not wanted & self.naive.missing
            return multiple()
        assert 0 <= claim.start < claim.stop <= self.naive.size
        assert claim.size <= largest
        units = self.naive.units(claim)
        assert units <= self.naive.missing
        assert units <= self.allowed(priority)
        self.naive.claimed |= units
        return claim

    def wanted(self, priority: Priority) -> set[int]:
        """All that `priority` calls for, by the words of the design."""
        everything = set(range(self.naive.count))
        if priority is Priority.DEMAND:
            return set().union(*map(self.naive.around, self.plan.demands))
        if priority is Priority.READAHEAD:
            return set().union(*map(self.naive.around, self.plan.streams.targets()))
        is_wanted = self.plan.wants_fill if priority is Priority.FILL else self.plan.prefetchers
        return everything if is_wanted else set()

    def allowed(self, priority: Priority) -> set[int]:
        """All that may be asked for then: a request goes on where the rest is wanted too."""
        goes_on = priority <= Priority.READAHEAD and self.plan.wants_rest
        return set(range(self.naive.count)) if goes_on else self.wanted(priority)

    @rule(claim=consumes(claims), share=st.floats(0, 1))
    def end_a_request(self, claim: ByteRange, share: float) -> None:
        """It ends after a part of the claim, in some pieces, has arrived."""
        units = sorted(self.naive.units(claim))
        arrived = units[: round(len(units) * share)]
        for unit in arrived:
            self.plan.note_arrived(*self.naive.span(unit, 1))
        self.plan.release(claim)
        self.naive.held |= set(arrived)
        self.naive.claimed -= set(units)

    # --- what both know ----------------------------------------------------------------

    @rule(first=places, count=st.integers(0, 12))
    def ask(self, first: int, count: int) -> None:
        span = self.naive.span(first, count)
        expected = set(range(first, first + count)) & set(range(self.naive.count))
        assert self.plan.holds(span) == (expected <= self.naive.held)

    @invariant()
    @precondition(lambda self: hasattr(self, "plan"))
    def the_state_of_every_unit_is_the_same(self) -> None:
        assert self.units_of(self.plan.held) == self.naive.bytes_in(self.naive.held)
        assert self.units_of(self.plan.claimed) == self.naive.bytes_in(self.naive.claimed)
        assert self.plan.is_complete == (len(self.naive.held) == self.naive.count)
        assert self.plan.is_spoken_for == (not self.naive.missing)

    def units_of(self, ranges: RangeSet) -> set[tuple[int, int]]:
        found = set[tuple[int, int]]()
        for each in ranges:
            found |= self.naive.bytes_in(self.naive.units(each))
        assert sum(size for _, size in found) == ranges.total
        return found


TestPlanBesideANaiveModel = PlanBesideANaiveModel.TestCase


# --- what comes of it in the end -------------------------------------------------------


def drained(plan: Plan, priority: Priority, largest: int = 16 * MIB) -> list[ByteRange]:
    """Claim until nothing is left to claim."""
    claims = []
    while (claim := plan.claim_next(priority, largest)) is not None:
        claims.append(claim)
    return claims


@given(sizes, st.lists(st.tuples(places, places), min_size=1, max_size=10), pieces)
def test_every_demand_is_claimed_in_the_end_and_nothing_but_its_blocks(
    size: int, demands: list[tuple[int, int]], largest: int
) -> None:
    plan, naive = Plan(size, RangeSet()), Naive(size, set())
    plan.demands = [naive.span(first % naive.count, count or 1) for first, count in demands]
    claimed = [naive.units(claim) for claim in drained(plan, Priority.DEMAND, largest)]
    assert set().union(*claimed) == set().union(*map(naive.around, plan.demands))
    assert sum(map(len, claimed)) == len(set().union(*claimed))


@given(sizes, st.frozensets(places), st.integers(0, 3), pieces)
def test_a_file_that_is_wanted_whole_becomes_whole(
    size: int, held: frozenset[int], failures: int, largest: int
) -> None:
    naive = Naive(size, set(held))
    plan = Plan(size, RangeSet(naive.span(unit, 1) for unit in naive.held))
    plan.prefetchers = 1
    for round_ in range(failures + 1):
        for claim in drained(plan, Priority.PREFETCH, largest):
            if round_ == failures:
                plan.note_arrived(*claim)
            plan.release(claim)
    assert plan.is_complete


@given(st.integers(WHOLE_UP_TO + 1, LARGEST_FILE), st.integers(0, LARGEST_FILE - 1))
def test_a_fill_goes_forward_from_the_reader_and_then_back_to_the_beginning(
    size: int, position: int
) -> None:
    plan = Plan(size, RangeSet())
    plan.wants_fill = True
    plan.streams.note_read(ByteRange(position, position + 1).clipped(size), waited=True)
    begun = plan.streams.frontier // BLOCK * BLOCK
    claimed = [claim.start for claim in drained(plan, Priority.FILL, 4 * MIB)]
    ahead = [start for start in claimed if start >= begun]
    behind = [start for start in claimed if start < begun]
    assert claimed == sorted(ahead) + sorted(behind)


@given(st.integers(0, 2 * BLOCK), st.integers(1, BLOCK))
def test_one_small_read_of_a_large_file_costs_its_blocks_alone(start: int, size: int) -> None:
    plan = Plan(LARGEST_FILE, RangeSet())
    plan.demands = [ByteRange(start, start + size)]
    claims = drained(plan, Priority.DEMAND)
    assert sum(claim.size for claim in claims) <= (size // BLOCK + 2) * BLOCK
    assert all(drained(plan, priority) == [] for priority in Priority)


def test_readahead_is_split_over_several_connections() -> None:
    plan = Plan(1024 * MIB, RangeSet())
    for at in range(0, 256 * MIB, MIB):
        plan.streams.note_read(ByteRange(at, at + MIB), waited=True)
        plan.note_arrived(at, at + MIB)
    claims = drained(plan, Priority.READAHEAD, 64 * MIB)
    assert len(claims) >= 4
    assert sum(claim.size for claim in claims) == 64 * MIB


def test_readahead_asks_for_no_more_than_it_may() -> None:
    plan = Plan(1024 * MIB, RangeSet())
    for at in range(0, 256 * MIB, MIB):
        plan.streams.note_read(ByteRange(at, at + MIB), waited=True)
        plan.note_arrived(at, at + MIB)
    assert {claim.size for claim in drained(plan, Priority.READAHEAD, MIB)} == {MIB}


def test_a_large_window_that_moves_a_little_is_not_followed_at_each_step() -> None:
    """A request for each block would cost more than it brings; the reader has far to go."""
    plan = Plan(1024 * MIB, RangeSet())
    for at in range(0, 256 * MIB, MIB):
        plan.streams.note_read(ByteRange(at, at + MIB), waited=True)
        plan.note_arrived(at, at + MIB)
    drained(plan, Priority.READAHEAD, 64 * MIB)
    sizes = []
    for at in range(256 * MIB, 288 * MIB, MIB):
        plan.streams.note_read(ByteRange(at, at + MIB), waited=False)
        sizes += [claim.size for claim in drained(plan, Priority.READAHEAD, 64 * MIB)]
    assert sizes == [8 * MIB] * 4


def test_readahead_in_a_file_that_is_wanted_whole_goes_on_beyond_its_window() -> None:
    """Few large requests are worth more than many small ones, since nothing can be wasted."""
    plan = Plan(1024 * MIB, RangeSet())
    for at in range(0, 256 * MIB, MIB):
        plan.streams.note_read(ByteRange(at, at + MIB), waited=True)
        plan.note_arrived(at, at + MIB)
    plan.note_arrived(300 * MIB, 310 * MIB)
    plan.wants_fill = True
    claims = drained(plan, Priority.READAHEAD, 48 * MIB)
    parts = [(claim.start // MIB, claim.stop // MIB) for claim in claims]
    assert parts == [(256, 300), (310, 358)]


def test_who_waits_in_a_file_that_is_wanted_whole_gets_more_than_a_block() -> None:
    plan = Plan(1024 * MIB, RangeSet([(300 * MIB, 400 * MIB)]))
    plan.wants_fill = True
    plan.demands = [ByteRange(MIB, MIB + 1), ByteRange(297 * MIB, 297 * MIB + 1)]
    claims = drained(plan, Priority.DEMAND, 64 * MIB)
    assert claims == [ByteRange(0, WITH_DEMAND), ByteRange(296 * MIB, 300 * MIB)]


# --- a server without ranges -----------------------------------------------------------


@given(sizes, st.frozensets(places), priorities)
def test_of_a_server_without_ranges_everything_is_asked_for_and_once_at_a_time(
    size: int, held: frozenset[int], priority: Priority
) -> None:
    naive = Naive(size, set(held))
    plan = Plan(size, RangeSet(naive.span(unit, 1) for unit in naive.held))
    plan.is_rangeless = plan.wants_fill = True
    plan.prefetchers = 1
    plan.demands = [ByteRange(0, size)]
    plan.streams.note_read(ByteRange(0, size), waited=True)
    claim = plan.claim_next(priority, MIB)
    if claim is None:
        assert plan.is_complete or priority is Priority.READAHEAD
        return
    assert claim == ByteRange(0, size)
    assert all(plan.claim_next(each, MIB) is None for each in Priority)
    plan.release(claim)
    assert plan.claim_next(priority, MIB) == claim


# --- starting over ---------------------------------------------------------------------


@given(sizes)
def test_a_plan_that_starts_over_wants_everything_again(size: int) -> None:
    plan = Plan(size, RangeSet([(0, size)]))
    plan.prefetchers = 1
    assert plan.is_complete
    plan.reset()
    assert not plan.is_complete
    assert sum(claim.size for claim in drained(plan, Priority.PREFETCH)) == size
