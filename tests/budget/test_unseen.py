"""What was deleted counts as free for a while, whatever the disk says, and not for longer."""

from __future__ import annotations

from hubfs.budget.policy import Figures
from hubfs.budget.unseen import SETTLES, Unseen

BEFORE = Figures(taken=1000, coming=0, available=100)


def noted() -> Unseen:
    unseen = Unseen()
    unseen.note(BEFORE, 200, 0.0)
    return unseen


def test_a_slow_disk_is_believed_to_have_freed_what_was_deleted() -> None:
    late = Figures(800, 0, 100)
    unseen = noted()
    assert unseen.seen(late, 1.0).available == 300
    assert unseen.seen(Figures(850, 0, 50), 2.0).available == 250  # 50 more have come
    assert unseen.seen(late, SETTLES).available == 100
    assert unseen.seen(late, SETTLES + 1).available == 100


def test_what_the_disk_has_shown_is_not_counted_twice() -> None:
    unseen = noted()
    assert unseen.seen(Figures(800, 0, 300), 1.0).available == 300
    assert unseen.seen(Figures(800, 0, 150), 2.0).available == 150  # others took it


def test_no_more_is_believed_than_was_deleted() -> None:
    assert noted().seen(Figures(800, 0, 0), 1.0).available == 200
