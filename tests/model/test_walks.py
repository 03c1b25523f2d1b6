from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.walks import FIRST_WINDOW, LARGEST_WINDOW, MOST_WALKS, PROVEN_AFTER, REACH, Walks

TREE = 7


def walked(walks: Walks, ordinals: Iterable[int], *, is_cold: bool = True) -> list[range]:
    return [walks.note(TREE, each, is_cold=is_cold) for each in ordinals]


def test_who_opens_one_file_after_the_other_is_told_what_comes_next() -> None:
    said = walked(Walks(), range(10, 16))
    assert not any(said[: PROVEN_AFTER - 1])
    first = 10 + PROVEN_AFTER
    assert said[PROVEN_AFTER - 1] == range(first, first + FIRST_WINDOW)
    assert said[PROVEN_AFTER] == range(first + FIRST_WINDOW, first + 1 + 2 * FIRST_WINDOW)


def test_nothing_is_named_twice_and_nothing_too_far_ahead() -> None:
    seen: set[int] = set()
    walks = Walks()
    for at in range(1000):
        said = walks.note(TREE, at, is_cold=True)
        assert seen.isdisjoint(said)
        seen |= set(said)
        assert all(at < each <= at + LARGEST_WINDOW for each in said)
    assert seen == set(range(PROVEN_AFTER, 1000 + LARGEST_WINDOW))


def test_what_is_here_begins_no_walk_and_continues_one() -> None:
    walks = Walks()
    assert not any(walked(walks, range(100), is_cold=False))
    assert not any(walked(walks, range(500, 499 + PROVEN_AFTER)))
    assert all(walked(walks, range(499 + PROVEN_AFTER, 505), is_cold=False))


def test_opening_the_same_file_again_is_no_walk() -> None:
    assert not any(walked(Walks(), [5] * 100))
    assert not any(walked(Walks(), range(100, 0, -1)))


def test_several_who_share_a_walk_need_not_keep_its_order() -> None:
    order = [*range(4), *(at ^ 3 for at in range(4, 64))]
    said = {each for one in walked(Walks(), order) for each in one}
    assert set(range(4, 64)) <= said


def test_a_loader_that_picks_some_of_a_few_files_is_no_walk() -> None:
    assert not any(walked(Walks(), [1, 2, 3, 5, 6, 8, 7, 8, 9, 0, 1, 2]))


def test_walks_do_not_disturb_each_other() -> None:
    walks = Walks()
    for at in range(10):
        for tree in range(MOST_WALKS):
            said = walks.note(tree, at, is_cold=True)
            assert bool(said) == (at >= PROVEN_AFTER - 1)


def test_far_jumps_are_no_walk() -> None:
    assert not any(walked(Walks(), range(0, 100 * (REACH + 1), REACH + 1)))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200), st.booleans())))
def test_whatever_is_opened_what_is_named_is_ahead_and_little(
    opens: list[tuple[int, int, bool]],
) -> None:
    walks = Walks()
    for number, ordinal, is_cold in opens:
        said = walks.note(number, ordinal, is_cold=is_cold)
        assert len(said) <= LARGEST_WINDOW
        assert all(ordinal < each <= ordinal + LARGEST_WINDOW for each in said)
