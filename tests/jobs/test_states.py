"""What may become of a job, how fast it goes, what it is about: held against plain rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import (
    AccessDenied,
    FetchFailed,
    HubfsError,
    HubUnreachable,
    JobIncomplete,
    NoConnection,
    StoreFull,
    WrongJobState,
)
from hubfs.jobs import states
from hubfs.jobs.progress import WINDOW, RateMeter, Tally, eta
from hubfs.jobs.selection import Selection, distinct, is_eager
from hubfs.jobs.states import ENDED, MOST_ATTEMPTS, JobState
from hubfs.model.content import MIB, Content
from hubfs.store.records import JobRecord

JOB = JobRecord("download", "https://hub.example", {"repo": "acme/model"}, "pending", id=7)
PASSING: list[HubfsError] = [
    HubUnreachable("down"),
    FetchFailed("late"),
    JobIncomplete("some", may_pass=True),
]
LASTING: list[HubfsError] = [
    AccessDenied("gated"),
    StoreFull("full"),
    JobIncomplete("some", may_pass=False),
]

MOVES: dict[str, Callable[[JobRecord], JobRecord]] = {
    "start": lambda job: states.started(job, 1.0),
    "complete": lambda job: states.completed(job, 2.0),
    "cancel": lambda job: states.cancelled(job, 3.0),
    "interrupt": states.interrupted,
    "retry": states.retried,
    "fail for now": lambda job: states.failed(job, PASSING[0], 4.0),
    "fail for good": lambda job: states.failed(job, LASTING[0], 4.0),
}


@given(st.lists(st.sampled_from(sorted(MOVES))))
def test_no_move_leads_out_of_an_end_but_a_retry(moves: list[str]) -> None:
    job = JOB
    for name in moves:
        try:
            moved = MOVES[name](job)
        except WrongJobState:
            continue
        if job.state in ENDED:
            assert name == "retry"
            assert job.state != JobState.COMPLETED
        assert states.has_ended(moved) == (moved.ended_at > 0)
        assert 0 <= moved.attempts <= job.attempts + 1
        job = moved


@pytest.mark.parametrize("error", PASSING)
def test_a_failure_that_may_pass_is_tried_again_later_and_later_and_then_no_more(
    error: HubfsError,
) -> None:
    job, pauses = JOB, []
    while not states.has_ended(job):
        job = states.failed(states.started(job, 0.0), error, 0.0)
        pauses.append(job.not_before)
    assert job.attempts == MOST_ATTEMPTS
    assert all(pause > 0 for pause in pauses)
    assert job.error == str(error)


@pytest.mark.parametrize("error", LASTING)
def test_a_failure_that_lasts_is_the_end(error: HubfsError) -> None:
    assert states.failed(states.started(JOB, 0.0), error, 0.0).state == JobState.FAILED


def attempts_at(job: JobRecord, error: HubfsError, began: float) -> tuple[int, float]:
    """How often a job is tried that begins then and always fails so, and when it ends."""
    now = began
    while not states.has_ended(job):
        now = max(now, job.not_before)
        job = states.failed(states.started(job, now), error, now)
    return job.attempts, now


CUT_OFF: list[HubfsError] = [
    NoConnection("refused"),
    JobIncomplete("some", may_pass=True, lacks_connection=True),
]


@given(st.floats(1.0, 1e9), st.sampled_from(CUT_OFF))
def test_who_waits_is_soon_told_that_there_is_no_connection(
    began: float, error: HubfsError
) -> None:
    """As soon when it was queued long before: it has not been without one for longer."""
    for awaited_since in (began, began / 2):
        job = replace(JOB, awaited_since=awaited_since)
        attempts, ended_at = attempts_at(job, error, began)
        assert 1 < attempts < MOST_ATTEMPTS
        assert ended_at <= began + states.LONGEST_AWAITED


def test_a_connection_that_was_had_meanwhile_begins_the_count_anew() -> None:
    job = states.started(replace(JOB, awaited_since=1.0), 1.0)
    for now, error in ((2.0, CUT_OFF[0]), (8.0, PASSING[0]), (11.0, CUT_OFF[0])):
        job = states.failed(job, error, now)
        assert job.state == JobState.PENDING
        job = replace(states.started(job, now), attempts=1)
    assert job.cut_off_since == 11.0


@given(st.floats(1.0, 1e9), st.sampled_from(CUT_OFF + PASSING))
def test_where_nobody_waits_or_something_answers_patience_is_what_it_was(
    began: float, error: HubfsError
) -> None:
    awaited_since = 0.0 if error in CUT_OFF else began
    job = replace(JOB, awaited_since=awaited_since)
    assert attempts_at(job, error, began)[0] == MOST_ATTEMPTS


def test_nobody_waits_for_what_a_process_has_left_until_it_is_asked_for_again() -> None:
    awaited = replace(JOB, awaited_since=1.0, not_before=99.0)
    running = states.started(awaited, 1.0)
    for left in (states.left(awaited), states.left(running), states.interrupted(running)):
        assert left.state == JobState.PENDING
        assert left.awaited_since == 0.0
    given_up = states.failed(replace(running, attempts=MOST_ATTEMPTS), PASSING[0], 4.0)
    assert states.retried(given_up).awaited_since == 0.0
    again = states.joined(states.left(awaited), replace(JOB, awaited_since=7.0))
    assert again.awaited_since == 7.0


def test_what_one_wants_in_the_background_goes_on_there_whoever_else_wants_it() -> None:
    there = replace(JOB, in_background=True)
    for joined in (states.joined(there, JOB), states.joined(JOB, there)):
        assert joined.in_background
    assert states.left(states.started(there, 1.0)).in_background
    assert states.retried(replace(there, state=JobState.FAILED)).in_background


@given(st.integers(1, 10_000))
def test_pauses_are_bounded(attempts: int) -> None:
    assert 0 < states.pause_after(attempts) <= states.LONGEST_PAUSE


def test_an_interrupted_attempt_does_not_count() -> None:
    running = states.started(replace(JOB, attempts=3), 0.0)
    assert states.interrupted(running).attempts == 3


# --- progress --------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 1 << 30)), min_size=2))
def test_a_rate_lies_between_the_slowest_and_the_fastest_step(
    steps: list[tuple[float, int]],
) -> None:
    meter, now, count = RateMeter(), 0.0, 0
    meter.note(now, count)
    for pause, moved in steps:
        now, count = now + pause, count + moved
        meter.note(now, count)
    rates = [moved / pause for pause, moved in steps]
    assert min(rates) * 0.999 <= meter.rate <= max(rates) * 1.001


def test_a_rate_forgets_what_was_long_ago() -> None:
    meter = RateMeter()
    meter.note(0.0, 0)
    meter.note(1.0, 1000 * MIB)
    for second in range(2, 30):
        meter.note(float(second), 1000 * MIB)
    assert meter.rate == 0
    assert WINDOW < 29


def test_a_counter_that_goes_back_gives_no_negative_rate() -> None:
    meter = RateMeter()
    meter.note(0.0, 500)
    meter.note(1.0, 100)
    assert meter.rate == 0


@given(st.integers(-10, 1 << 40), st.floats(0, 1e9))
def test_an_eta_is_known_only_when_something_moves(left: int, rate: float) -> None:
    seconds = eta(left, rate)
    if left <= 0:
        assert seconds == 0
    elif not rate:
        assert seconds is None
    else:
        assert seconds is not None
        assert seconds > 0


def test_failures_are_all_counted_and_the_first_ones_named() -> None:
    tally = Tally()
    for number in range(1000):
        tally.note_failure(f"file{number}", "no")
    assert tally.failed == 1000
    assert len(tally.failures) == 100


# --- selection -------------------------------------------------------------------------

PATHS = st.from_regex(r"[ab]{1,2}(/[ab]{1,2}){0,2}\.(bin|json)", fullmatch=True)
GLOBS = st.lists(st.sampled_from(["*", "*.bin", "a*", "b/*", "a/", "*/b*.json", "?a*"]), max_size=3)


@given(PATHS, GLOBS, GLOBS)
def test_globs_mean_what_they_mean_to_the_hubs_client(
    path: str, include: list[str], exclude: list[str]
) -> None:
    def matches(globs: list[str]) -> bool:
        return any(fnmatch(path, glob + "*" if glob[-1] == "/" else glob) for glob in globs)

    selection = Selection(tuple(include), tuple(exclude))
    assert selection.accepts(path) == ((not include or matches(include)) and not matches(exclude))


@given(st.lists(st.tuples(PATHS, st.integers(0, 5))))
def test_each_content_counts_once(files: list[tuple[str, int]]) -> None:
    contents = [(path, Content(number, git_oid=f"{number:040x}")) for path, number in files]
    chosen = list(distinct(contents))
    assert {content for _, content in chosen} == {content for _, content in contents}
    assert len(chosen) == len({number for _, number in files})


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [
        ("config.json", 900, True),
        ("tokenizer.json", 9 * MIB, True),
        ("tokenizer.json", 11 * MIB, False),
        ("README.md", 5000, True),
        ("LICENSE", 5000, True),
        ("model.safetensors", 5000, False),
        ("images/cat.png", 5000, False),
        ("onnx/model.onnx", 10, False),
    ],
)
def test_small_metadata_files_are_eager(path: str, size: int, *, expected: bool) -> None:
    assert is_eager(path, size) is expected


@pytest.mark.parametrize(
    ("kind", "arguments", "reason", "text"),
    [
        ("sync", {"repo": "a/b"}, "a/b: no such repo", "sync of a/b: no such repo"),
        (
            "download",
            {"repo": "a/b", "revision": "v9"},
            "a/b@v9: no such revision",
            "download of a/b@v9: no such revision",
        ),
        ("evict", {"repo": "a/b", "revision": ""}, "a/b is pinned", "evict of a/b: a/b is pinned"),
        ("scan", {"path": "/srv"}, "there is no /srv", "scan of /srv: there is no /srv"),
        ("verify", {"repo": ""}, "1 error is left", "verify of everything: 1 error is left"),
    ],
)
def test_a_failure_says_once_what_it_is_about(
    kind: str, arguments: dict[str, str], reason: str, text: str
) -> None:
    assert states.failure_text(kind, arguments, reason) == text
