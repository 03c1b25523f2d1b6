"""The queue proper and the history of what has ended, held against plain lists."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hubfs.jobs.history import History
from hubfs.jobs.states import has_ended
from hubfs.jobs.waiting import Waiting, Wishes
from hubfs.store.records import JobRecord

KINDS = ("sync", "download")
JOB = JobRecord("sync", "https://hub.example", {"repo": "acme/model"}, "pending")

NUMBERS = st.integers(1, 6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), NUMBERS, st.sampled_from(KINDS), st.sampled_from([0, 3, 7])),
        st.tuples(st.just("pop"), NUMBERS, st.just(""), st.just(0)),
        st.tuples(st.just("take"), st.just(0), st.sampled_from(KINDS), st.integers(0, 4)),
    ),
    max_size=40,
)


class Line:
    """One list, searched from its front: who is ready and since when, in so many words."""

    def __init__(self) -> None:
        self.line: list[tuple[float, int, JobRecord]] = []
        self.step = 0

    def add(self, record: JobRecord) -> None:
        self.pop(record.id)
        self.step += 1
        self.line.append((record.not_before, self.step, record))

    def pop(self, number: int) -> JobRecord | None:
        found = [each for each in self.line if each[2].id == number]
        self.line = [each for each in self.line if each not in found]
        return found[0][2] if found else None

    def ready(self, kind: str, now: float) -> set[int]:
        return {job.id for moment, _, job in self.line if job.kind == kind and moment <= now}

    def is_served_fairly(self, taken: JobRecord, kind: str, now: float) -> bool:
        """Nobody overtakes who was ready from the start and stood before."""
        ranks = {job.id: step for moment, step, job in self.line if not moment}
        mine = ranks.get(taken.id)
        others = [ranks[number] for number in self.ready(kind, now) if number in ranks]
        return mine is None or mine <= min(others)


@given(STEPS)
def test_jobs_are_taken_in_their_order_and_never_before_their_moment(
    steps: list[tuple[str, int, str, int]],
) -> None:
    waiting, line, now = Waiting(), Line(), 0.0
    for step, number, kind, count in steps:
        if step == "add":
            not_before = now + count if count else 0.0
            record = replace(JOB, id=number, kind=kind, not_before=not_before)
            waiting.add(record)
            line.add(record)
        elif step == "pop":
            assert waiting.pop(number) == line.pop(number)
        else:
            now += count
            taken = waiting.take(kind, now)
            assert (taken is None) == (not line.ready(kind, now))
            if taken is not None:
                assert taken.id in line.ready(kind, now)
                assert line.is_served_fairly(taken, kind, now)
                line.pop(taken.id)
        assert {each.id for each in waiting} == {job.id for _, _, job in line.line}
        assert len(waiting) == len(line.line)


@given(st.lists(st.tuples(st.booleans(), NUMBERS, st.sampled_from("abc"))))
def test_jobs_for_the_same_are_found_whatever_else_there_is(
    steps: list[tuple[bool, int, str]],
) -> None:
    wishes = Wishes()
    known: dict[int, JobRecord] = {}
    for is_new, number, repo in steps:
        record = replace(JOB, id=number, arguments={"repo": repo, "include": ["*"]})
        if is_new and number not in known:
            known[number] = record
            wishes.add(record)
        elif not is_new and number in known:
            wishes.discard(known.pop(number))
        for name in "abc":
            asked = replace(JOB, arguments={"include": ["*"], "repo": name})
            alike = {each.id for each in known.values() if each.arguments["repo"] == name}
            assert set(wishes.alike(asked)) == alike
    for record in known.values():
        wishes.discard(record)
    assert wishes._alike == {}


@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["completed", "pending"]))),
    st.integers(0, 8),
)
def test_the_oldest_jobs_are_forgotten_first_and_none_that_has_not_ended(
    moves: list[tuple[int, str]], keep: int
) -> None:
    history = History(keep)
    ended: set[int] = set()
    for number, state in moves:
        record = replace(JOB, id=number, state=state)
        ended = ended | {number} if has_ended(record) else ended - {number}
        overdue = history.note(record)
        assert set(overdue) == set(sorted(ended)[: -max(1, keep)])
        ended -= set(overdue)
