from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import HubUnreachable
from hubfs.hub.dialing import Place, dial, interleaved, places_of
from hubfs.hub.lifeline import Lifeline

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def listening() -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield V4, server.getsockname()


@pytest.fixture
def refusing() -> Iterator[Place]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield V4, reserved.getsockname()


@pytest.fixture
def silent() -> Iterator[Place]:
    """A port whose queue is full: Linux drops what comes, as a broken network would."""
    with ExitStack() as stack, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield V4, server.getsockname()


def test_a_server_that_listens_is_reached(listening: Place) -> None:
    with dial([listening], Lifeline(), 10) as connected:
        assert connected.getpeername() == listening[1]
        assert connected.gettimeout() is None


def test_a_place_that_refuses_is_passed_over_at_once(refusing: Place, listening: Place) -> None:
    with dial([refusing, refusing, listening], Lifeline(), 10) as connected:
        assert connected.getpeername() == listening[1]


def test_a_place_that_says_nothing_costs_a_moment_only(silent: Place, listening: Place) -> None:
    """A network that loses one family of addresses must not cost a timeout for each."""
    with dial([silent, silent, silent, listening], Lifeline(), 10) as connected:
        assert connected.getpeername() == listening[1]


def test_when_all_refuse_it_says_so(refusing: Place) -> None:
    with pytest.raises(ConnectionRefusedError):
        dial([refusing, refusing], Lifeline(), 10)


def test_when_nobody_answers_it_gives_up(silent: Place) -> None:
    with pytest.raises(TimeoutError):
        dial([silent], Lifeline(), 0.3)


def test_a_place_of_a_family_that_is_not_there_is_passed_over(listening: Place) -> None:
    impossible = socket.AF_X25, ("127.0.0.1", 1)
    with dial([impossible, listening], Lifeline(), 10) as connected:
        assert connected.getpeername() == listening[1]


def test_nowhere_to_go_is_a_failure() -> None:
    with pytest.raises(OSError, match="no address"):
        dial([], Lifeline(), 10)


def test_a_cut_ends_the_wait_for_a_connection(silent: Place) -> None:
    lifeline = Lifeline()
    cutting = threading.Thread(target=lifeline.cut)
    cutting.start()
    with pytest.raises(HubUnreachable, match="given up"):
        dial([silent], lifeline, 60)
    cutting.join()


def test_a_name_has_its_addresses() -> None:
    assert (V4, ("127.0.0.1", 80)) in places_of("127.0.0.1", 80)


@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64 + ".example", "\udcff"])
def test_a_name_without_an_address_is_a_failure(host: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the resolver's own sentence
        places_of(host, 80)


@given(st.lists(st.tuples(st.sampled_from([V4, V6]), st.integers())))
def test_families_take_turns_and_keep_their_order(places: list[Place]) -> None:
    mixed = interleaved(places)
    for family in (V4, V6):
        assert [p for p in mixed if p[0] is family] == [p for p in places if p[0] is family]
    turns = 2 * min(sum(p[0] is V4 for p in places), sum(p[0] is V6 for p in places))
    assert all(mixed[at][0] is not mixed[at + 1][0] for at in range(turns - 1))
    assert mixed[:1] == places[:1]
