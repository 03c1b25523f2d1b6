from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hubfs.errors import HubUnreachable, RateLimited
from hubfs.hub.lifeline import Lifeline
from hubfs.hub.locations import EXPIRY_MARGIN, MOST_LOCATIONS, Locations
from hubfs.model.content import Source

SOURCE = Source("acme/tiny", "0123456789abcdef0123456789abcdef01234567", "model.safetensors")
URL = "https://cdn.example/x"


def signed(seconds: float) -> str:
    return f"{URL}?Expires={time.time() + seconds}"


def test_a_location_is_known_until_it_is_forgotten() -> None:
    locations = Locations()
    assert locations.find(SOURCE) is None
    locations.remember(SOURCE, URL)
    assert locations.find(SOURCE) == URL
    locations.forget(SOURCE, URL)
    assert locations.find(SOURCE) is None
    locations.forget(SOURCE, URL)


def test_a_location_is_not_used_to_its_last_second() -> None:
    """A request takes its time on the way."""
    locations = Locations()
    locations.remember(SOURCE, signed(EXPIRY_MARGIN - 1))
    assert locations.find(SOURCE) is None
    locations.remember(SOURCE, lasting := signed(EXPIRY_MARGIN + 100))
    assert locations.find(SOURCE) == lasting


def test_who_complains_of_an_old_location_does_not_spoil_the_new_one() -> None:
    locations = Locations()
    locations.remember(SOURCE, URL)
    locations.forget(SOURCE, "https://cdn.example/old")
    assert locations.find(SOURCE) == URL


def test_the_oldest_locations_make_room() -> None:
    locations = Locations()
    sources = [Source("acme/tiny", SOURCE.commit, str(at)) for at in range(MOST_LOCATIONS + 1)]
    for each in sources:
        locations.remember(each, URL)
    assert [locations.find(each) for each in sources[:2]] == [None, URL]
    assert locations.find(sources[-1]) == URL


class Search:
    """A search in a thread of its own, which waits until it is told to end."""

    def __init__(self, locations: Locations) -> None:
        self.lifeline = Lifeline()
        self.begun, self._go_on = threading.Event(), threading.Event()
        self.raised: Exception | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(locations,))
        self._thread.start()
        assert self.begun.wait(20)

    def _run(self, locations: Locations) -> None:
        try:
            locations.search(SOURCE, self._find, self.lifeline)
        except HubUnreachable as error:
            self.raised = error

    def _find(self) -> str:
        self.begun.set()
        assert self._go_on.wait(20)
        if self._error:
            raise self._error
        return "found"

    def end(self, error: Exception | None = None) -> None:
        self._error = error
        self._go_on.set()
        self._thread.join()


def searching(
    locations: Locations, lifeline: Lifeline | None = None
) -> tuple[threading.Thread, list[object]]:
    """Search in another thread while one is at it; what came of it is in the list."""
    came: list[object] = []

    def run() -> None:
        try:
            came.append(locations.search(SOURCE, lambda: "mine", lifeline or Lifeline()))
        except (HubUnreachable, RateLimited) as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def test_whoever_searches_first_gets_what_is_found() -> None:
    assert Locations().search(SOURCE, lambda: "found", Lifeline()) == "found"


def test_others_wait_for_the_one_that_searches() -> None:
    locations = Locations()
    search = Search(locations)
    others = [searching(locations) for _ in range(5)]
    search.end()
    for thread, _ in others:
        thread.join()
    # Who came after the end searched for itself: nobody can tell when a thread starts.
    assert all(came in ([None], ["mine"]) for _, came in others)


def test_another_place_is_searched_for_meanwhile() -> None:
    locations = Locations()
    search = Search(locations)
    other = Source("acme/tiny", SOURCE.commit, "config.json")
    assert locations.search(other, lambda: "found", Lifeline()) == "found"
    search.end()


def test_why_it_failed_is_told_to_all_who_waited() -> None:
    """Were each to try for itself, they would wait for a dead Hub one after the other."""
    locations = Locations()
    search = Search(locations)
    thread, came = searching(locations)
    error = HubUnreachable("the Hub is dead")
    search.end(error)
    thread.join()
    assert search.raised is error
    assert came in ([error], ["mine"])


def test_a_search_that_was_given_up_says_nothing_to_the_others() -> None:
    locations = Locations()
    search = Search(locations)
    thread, came = searching(locations)
    search.lifeline.cut()
    search.end(HubUnreachable("the request was given up"))
    thread.join()
    assert came in ([None], ["mine"])


def test_a_cut_ends_the_wait_for_another_s_search() -> None:
    locations = Locations()
    search, lifeline = Search(locations), Lifeline()
    thread, came = searching(locations, lifeline)
    lifeline.cut()
    thread.join()
    search.end()
    assert [type(each) for each in came] == [HubUnreachable]


def test_after_a_failure_the_next_one_searches_again() -> None:
    locations = Locations()
    search = Search(locations)
    search.end(HubUnreachable("the Hub is dead"))
    assert locations.search(SOURCE, lambda: "found", Lifeline()) == "found"


def test_a_failure_that_nobody_foresaw_holds_nobody_up() -> None:
    locations = Locations()
    with pytest.raises(ZeroDivisionError):
        locations.search(SOURCE, lambda: 1 // 0, Lifeline())
    assert locations.search(SOURCE, lambda: "found", Lifeline()) == "found"


def test_who_comes_after_a_search_that_found_in_vain_searches_anew() -> None:
    """What it found was forgotten before its own thread had an answer: waiting is of no use."""
    locations = Locations()
    found, go_on = threading.Event(), threading.Event()

    def find_slowly() -> str:
        locations.remember(SOURCE, URL)
        found.set()
        assert go_on.wait(10)
        return "slowly"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(locations.search, SOURCE, find_slowly, Lifeline())
        assert found.wait(10)
        locations.forget(SOURCE, URL)
        assert locations.search(SOURCE, lambda: "anew", Lifeline()) == "anew"
        cut = Lifeline()
        cut.cut()
        with pytest.raises(HubUnreachable):
            locations.search(SOURCE, lambda: "never", cut)
        go_on.set()
        assert first.result(10) == "slowly"
