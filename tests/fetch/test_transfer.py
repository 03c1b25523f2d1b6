"""The state of a transfer: who waits for what, for how long, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import FetchFailed, HubfsError, HubUnreachable, RepoNotFound
from hubfs.fetch.plan import SMALLEST_PIECE, WHOLE_UP_TO, Priority
from hubfs.fetch.pull import Pull
from hubfs.fetch.scheduler import MOST_PER_CONTENT
from hubfs.fetch.transfer import ENOUGH, FAILURE_MEMORY, FEWEST, REQUEST_TIME, Transfer
from hubfs.model.content import MIB, Content, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.partials import Partial
from hubfs.store.store import Store

LARGE = Content(64 * MIB, sha256="a" * 64)
SMALL = Content(WHOLE_UP_TO, sha256="b" * 64)
HERE = Source("org/name", "c" * 40, "model.safetensors")
FIRST = ByteRange(0, MIB)
PATIENCE = 600.0
DOWN = HubUnreachable("the Hub is down")


@pytest.fixture
def partial(store: Store) -> Iterator[Partial]:
    partial = store.partials.open(LARGE)
    yield partial
    partial.close()


@pytest.fixture
async def transfer(partial: Partial, mock_clock: trio.testing.MockClock) -> Transfer:
    """A large content of which nothing is here; time stands still."""
    return Transfer(LARGE, partial, [HERE])


def arrive(transfer: Transfer, start: int, stop: int) -> None:
    transfer.note_arrival(transfer.partial, start, stop)
    transfer.take_arrivals()


async def start_waiting(
    transfer: Transfer, span: ByteRange, outcomes: list[object], nursery: trio.Nursery
) -> None:
    """Have somebody wait; what comes of it is added to `outcomes`."""

    async def wait() -> None:
        try:
            await transfer.wait_for(span, PATIENCE)
            outcomes.append(None)
        except HubfsError as error:
            outcomes.append(error)

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()


# --- waiting ---------------------------------------------------------------------------


async def test_a_reader_waits_until_the_last_of_its_bytes_is_here(transfer: Transfer) -> None:
    outcomes: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_waiting(transfer, ByteRange(100, 200), outcomes, nursery)
        for start, stop in ((0, 150), (151, 300), (500, 600)):
            arrive(transfer, start, stop)
            await trio.testing.wait_all_tasks_blocked()
            assert outcomes == []
        arrive(transfer, 150, 151)
    assert outcomes == [None]


async def test_a_reader_that_gives_up_leaves_the_others_waiting(transfer: Transfer) -> None:
    outcomes: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_waiting(transfer, FIRST, outcomes, nursery)
        with trio.move_on_after(0) as given_up:
            await transfer.wait_for(FIRST, PATIENCE)
        assert given_up.cancelled_caught
        arrive(transfer, *FIRST)
    assert outcomes == [None]
    assert not transfer._waiters


async def test_what_a_file_that_was_thrown_away_receives_does_not_count(
    transfer: Transfer, store: Store
) -> None:
    wrong = transfer.partial
    wrong.discard()
    transfer.restart(store.partials.open(LARGE))
    transfer.note_arrival(wrong, 0, LARGE.size)
    transfer.take_arrivals()
    assert not transfer.has(FIRST)
    assert transfer.unclaimed == 0
    arrive(transfer, *FIRST)
    assert transfer.has(FIRST)
    transfer.partial.close()


async def test_the_file_to_read_at_once_is_the_one_that_has_the_bytes(
    transfer: Transfer, store: Store
) -> None:
    assert transfer.descriptor_with(FIRST) is None
    arrive(transfer, *FIRST)
    assert transfer.descriptor_with(FIRST) == transfer.partial.descriptor
    assert transfer.descriptor_with(ByteRange(0, MIB + 1)) is None
    transfer.restart(anew := store.partials.open(LARGE))
    assert transfer.descriptor_with(FIRST) is None
    arrive(transfer, *FIRST)
    assert transfer.descriptor_with(FIRST) == anew.descriptor
    transfer.lose_unclaimed()
    assert transfer.descriptor_with(FIRST) is None
    anew.close()


async def test_a_small_content_is_not_served_before_it_is_verified(store: Store) -> None:
    partial = store.partials.open(SMALL)
    transfer = Transfer(SMALL, partial, [HERE])
    arrive(transfer, 0, SMALL.size)
    assert transfer.plan.is_complete
    assert not transfer.has(FIRST)
    assert transfer.descriptor_with(FIRST) is None
    transfer.note_admitted(0)
    assert transfer.has(FIRST)
    assert transfer.descriptor_with(FIRST) == partial.descriptor
    partial.close()


# --- patience --------------------------------------------------------------------------


async def test_a_reader_is_given_up_when_nothing_came_for_so_long(
    transfer: Transfer, mock_clock: trio.testing.MockClock
) -> None:
    outcomes: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_waiting(transfer, FIRST, outcomes, nursery)
        transfer.note_trouble(DOWN)
        mock_clock.jump(PATIENCE - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        mock_clock.jump(2)
    [error] = outcomes
    assert isinstance(error, FetchFailed)
    assert "no byte of org/name@cccccccccccc/model.safetensors came for 600 s" in str(error)
    assert "the Hub is down" in str(error)
    assert error.__cause__ is DOWN


async def test_any_byte_renews_the_patience(
    transfer: Transfer, mock_clock: trio.testing.MockClock
) -> None:
    outcomes: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_waiting(transfer, FIRST, outcomes, nursery)
        for number in range(3):
            transfer.note_trouble(DOWN)
            mock_clock.jump(PATIENCE - 1)
            arrive(transfer, 10 * MIB + number, 10 * MIB + number + 1)
            await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        mock_clock.jump(PATIENCE)
    assert isinstance(outcomes[0], FetchFailed)


async def test_a_reader_whose_turn_has_not_come_is_not_given_up(
    transfer: Transfer, mock_clock: trio.testing.MockClock
) -> None:
    outcomes: list[object] = []
    async with trio.open_nursery() as nursery:
        await start_waiting(transfer, FIRST, outcomes, nursery)
        mock_clock.jump(3 * PATIENCE)
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        arrive(transfer, *FIRST)
    assert outcomes == [None]


# --- failures --------------------------------------------------------------------------


async def test_a_failure_reaches_everyone_who_waits(transfer: Transfer) -> None:
    outcomes: list[object] = []
    gone = RepoNotFound("no such repo")
    async with trio.open_nursery() as nursery:
        for at in range(3):
            await start_waiting(transfer, ByteRange(at * MIB, at * MIB + 1), outcomes, nursery)
        arrive(transfer, 0, 1)
        transfer.fail(gone)
    assert sorted(map(repr, outcomes)) == sorted(map(repr, [None, gone, gone]))


async def test_a_failure_is_remembered_for_a_while_and_then_tried_anew(
    transfer: Transfer, mock_clock: trio.testing.MockClock
) -> None:
    transfer.fail(RepoNotFound("no such repo"))
    mock_clock.jump(FAILURE_MEMORY - 1)
    with pytest.raises(RepoNotFound):
        transfer.raise_failure()
    assert transfer.is_paused(trio.current_time())
    mock_clock.jump(1)
    transfer.raise_failure()
    assert not transfer.has_failed
    assert not transfer.is_paused(trio.current_time())


async def test_a_trouble_is_followed_by_a_pause_that_ends(
    transfer: Transfer, mock_clock: trio.testing.MockClock
) -> None:
    for _ in range(20):
        wait = transfer.note_trouble(DOWN)
        assert 0 < wait <= 10
        assert transfer.is_paused(trio.current_time())
        mock_clock.jump(wait)
        assert not transfer.is_paused(trio.current_time())
    assert transfer.note_trouble(DOWN, 42.0) == 42.0


# --- sources and pieces ----------------------------------------------------------------

sources = st.integers(0, 4).map(lambda number: Source(f"org/{number}", "c" * 40, "f"))
changes = st.lists(st.tuples(st.booleans(), sources), max_size=20)


async def test_the_places_to_ask_are_never_used_up(transfer: Transfer) -> None:
    @given(changes)
    def check(changes: list[tuple[bool, Source]]) -> None:
        transfer.sources, model = [HERE], [HERE]
        for is_new, source in changes:
            if is_new:
                transfer.add_source(source)
                model += [source] * (source not in model)
            else:
                others = [each for each in model if each != source]
                is_left = transfer.drop_source(source)
                assert is_left == bool(others)
                model = others or model
            assert transfer.sources == model

    check()


def a_pull(transfer: Transfer, received: int = 0, seconds: float = 0.0) -> Pull:
    pull = Pull(transfer.partial, FIRST, lambda *_: None, lambda: True)
    pull.received, pull.seconds = received, seconds
    return pull


async def test_of_slow_connections_there_are_never_enough_and_of_fast_ones_soon(
    transfer: Transfer,
) -> None:
    transfer.pulls = {a_pull(transfer) for _ in range(FEWEST)}
    assert not transfer.has_enough_connections  # nobody knows yet
    transfer.note_rate(a_pull(transfer, 40 * MIB, 1.0))
    assert not transfer.has_enough_connections
    transfer.note_rate(a_pull(transfer, ENOUGH // FEWEST, 1.0))
    assert transfer.has_enough_connections
    transfer.pulls = {a_pull(transfer) for _ in range(FEWEST - 1)}
    assert not transfer.has_enough_connections


async def test_a_connection_that_was_fast_once_is_forgotten(transfer: Transfer) -> None:
    transfer.pulls = {a_pull(transfer) for _ in range(FEWEST)}
    transfer.note_rate(a_pull(transfer, ENOUGH, 1.0))
    assert transfer.has_enough_connections
    for _ in range(10):
        transfer.note_rate(a_pull(transfer, 40 * MIB, 1.0))
    assert not transfer.has_enough_connections


async def test_a_piece_is_about_a_second_of_a_connection_within_bounds(
    transfer: Transfer,
) -> None:
    pull = a_pull(transfer)

    @given(st.integers(0, 1 << 36), st.floats(0, 1e4))
    def check(received: int, seconds: float) -> None:
        pull.received, pull.seconds = received, seconds
        transfer.note_rate(pull)
        piece = transfer.largest_piece(Priority.DEMAND)
        assert piece % MIB == 0
        assert 8 * MIB <= piece <= 64 * MIB
        wanted = REQUEST_TIME * received / seconds if seconds else 0
        if received >= MIB and 8 * MIB <= wanted <= 64 * MIB:
            assert abs(piece - wanted) <= MIB

    check()


async def test_what_nobody_waits_for_is_shared_out_among_all_connections_to_its_end(
    transfer: Transfer,
) -> None:
    transfer.plan.wants_fill, sizes = True, []
    claim = transfer.plan.claim_next(Priority.FILL, transfer.largest_piece(Priority.FILL))
    while claim is not None:
        sizes.append(claim.size)
        claim = transfer.plan.claim_next(Priority.FILL, transfer.largest_piece(Priority.FILL))
    assert sum(sizes) == transfer.content.size
    assert sizes == sorted(sizes, reverse=True)
    for at, size in enumerate(sizes):
        assert size <= max(SMALLEST_PIECE, sum(sizes[at:]) / MOST_PER_CONTENT)


async def test_the_whole_file_is_taken_by_one_and_not_again_once_it_is_here(
    transfer: Transfer, partial: Partial
) -> None:
    transfer.pulls |= {pull_of(partial), pull_of(partial)}
    assert [transfer.may_take_whole() for _ in range(2)] == [True, False]
    transfer.pulls.pop()
    assert transfer.may_take_whole()  # whoever had it has failed
    arrive(transfer, 0, LARGE.size)
    assert not transfer.may_take_whole()


def pull_of(partial: Partial) -> Pull:
    return Pull(partial, FIRST, lambda *_: None, lambda: True)
