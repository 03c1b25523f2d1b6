from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import CircularPages, ProtocolViolation
from hubfs.hub.pages import LARGEST_LISTING, MOST_DIRECTORIES, MOST_PAGES, Directories, Pages

FIRST = "recursive=true&expand=false"
cursors = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1)


def link(query: str) -> str:
    return f"<https://hub.example/x?{query}>; rel=next"


@given(st.lists(cursors, unique=True))
def test_pages_follow_each_other_to_the_last(queries: list[str]) -> None:
    pages, asked = Pages(FIRST), []
    waiting = [*map(link, queries), None]
    while pages.query is not None:
        asked.append(pages.query)
        pages.turn(waiting.pop(0), 1000)
    assert asked == [FIRST, *queries]


@given(st.lists(cursors, unique=True), st.data())
def test_a_page_that_was_there_before_is_a_circle(queries: list[str], data: st.DataObject) -> None:
    pages = Pages(FIRST)
    for each in queries:
        pages.turn(link(each), 1000)
    again = data.draw(st.sampled_from([FIRST, *queries, ""]))
    with pytest.raises(CircularPages):
        pages.turn(link(again), 1000)


def test_pages_without_end_are_ended() -> None:
    pages = Pages(FIRST)
    with pytest.raises(ProtocolViolation, match="do not end"):
        turn_for_ever(pages, 2)
    assert pages.query == str(MOST_PAGES - 2)


def test_pages_of_boundless_size_are_ended() -> None:
    pages = Pages(FIRST)
    with pytest.raises(ProtocolViolation, match="do not end"):
        turn_for_ever(pages, LARGEST_LISTING // 4)
    assert pages.query == "4"


def turn_for_ever(pages: Pages, size: int) -> None:
    for number in range(MOST_PAGES * 2):
        pages.turn(link(str(number)), size)


@given(st.lists(st.lists(cursors)))
def test_every_directory_is_listed_once_in_the_order_in_which_it_was_found(
    found: list[list[str]],
) -> None:
    directories, listed, waiting = Directories(), [], iter(found)
    while (path := directories.next()) is not None:
        listed.append(path)
        directories.add(next(waiting, []))
    reached = found[: len(listed)]
    assert listed == list(dict.fromkeys(["", *(path for paths in reached for path in paths)]))


def test_directories_without_end_are_ended() -> None:
    directories = Directories()
    with pytest.raises(ProtocolViolation, match="do not end"):
        directories.add(map(str, range(MOST_DIRECTORIES)))
