"""Time is a number here: every pause is decided from an explicit now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubfs.hub.answers import LONGEST_PAUSE, RateState
from hubfs.hub.pace import (
    AFTER_SILENCE,
    API,
    BREAKER_LONGEST,
    BREAKER_THRESHOLD,
    PROBE,
    RESOLVERS,
    SAME_TROUBLE,
    Breaker,
    RateLimits,
    backoff,
)

times = st.floats(0, 1e9)
pauses = st.floats(0, 1e12)
buckets = st.sampled_from([API, RESOLVERS])


# --- backoff ---------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.floats(0.1, 60))
def test_a_pause_is_never_nothing_and_never_too_long(attempt: int, longest: float) -> None:
    assert 0.05 <= backoff(attempt, longest=longest) <= longest


@given(st.integers(1, 6))
def test_the_bound_of_a_pause_doubles(attempt: int) -> None:
    assert backoff(attempt, base=0.5, longest=1000) <= 0.5 * 2**attempt


# --- rate limits -----------------------------------------------------------------------


@given(buckets, times)
def test_a_bucket_is_open_until_the_hub_says_otherwise(bucket: str, now: float) -> None:
    assert RateLimits().wait(bucket, now) == 0


@given(buckets, times, pauses)
def test_an_empty_bucket_closes_until_it_refills_but_not_for_ever(
    bucket: str, now: float, reset: float
) -> None:
    limits = RateLimits()
    limits.note([RateState(bucket, 0, reset)], now)
    assert abs(limits.wait(bucket, now) - min(reset + 1, LONGEST_PAUSE)) < 1e-6
    assert limits.wait(bucket, now + LONGEST_PAUSE + 1) == 0


@given(buckets, times, pauses)
def test_a_refusal_closes_a_bucket_but_not_for_ever(bucket: str, now: float, asked: float) -> None:
    limits = RateLimits()
    limits.close(bucket, now, asked)
    assert abs(limits.wait(bucket, now) - min(asked, LONGEST_PAUSE)) < 1e-6


@given(times)
def test_buckets_close_each_for_itself(now: float) -> None:
    limits = RateLimits()
    limits.note([RateState(API, 0, 60), RateState(RESOLVERS, 5, 60)], now)
    assert limits.wait(API, now) > 0
    assert limits.wait(RESOLVERS, now) == 0


@given(times)
def test_an_answer_with_requests_left_opens_its_bucket(now: float) -> None:
    limits = RateLimits()
    limits.close(API, now, 60)
    limits.note([RateState(API, 1, 60)], now)
    assert limits.wait(API, now) == 0


@given(times)
def test_the_longer_of_two_refusals_counts(now: float) -> None:
    limits = RateLimits()
    limits.close(API, now, 60)
    limits.close(API, now, 5)
    assert limits.wait(API, now) > 50


@given(st.lists(st.builds(RateState, st.text(), st.integers(0, 1), pauses), max_size=20))
def test_buckets_that_a_server_makes_up_are_not_remembered(states: list[RateState]) -> None:
    limits = RateLimits()
    limits.note([each for each in states if each.bucket not in {API, RESOLVERS}], 0.0)
    assert limits == RateLimits()


# --- the breaker -----------------------------------------------------------------------


def failed(times: int, now: float = 0.0) -> tuple[Breaker, float]:
    """A breaker after so many failures, one second apart, and the time of the last."""
    breaker = Breaker()
    for number in range(times):
        breaker.note_failure(now + number, f"reason {number}")
    return breaker, now + times - 1


def test_a_few_failures_do_not_open_it() -> None:
    breaker, now = failed(BREAKER_THRESHOLD - 1)
    assert breaker.admits(now)


@given(st.integers(BREAKER_THRESHOLD, 5000))
def test_failures_in_a_row_open_it_for_a_while(times: int) -> None:
    breaker, now = failed(times)
    assert breaker.is_open(now)
    assert not breaker.admits(now)
    assert not breaker.is_open(now + BREAKER_LONGEST)
    assert breaker.reason == f"reason {times - 1}"


def test_each_failure_more_keeps_it_open_longer() -> None:
    waits = []
    for times in range(BREAKER_THRESHOLD, BREAKER_THRESHOLD + 8):
        breaker, now = failed(times)
        waits.append(breaker.retry_at - now)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(0, BREAKER_THRESHOLD + 8))
def test_one_silence_opens_it_at_once_and_for_longer(failures_before: int) -> None:
    breaker, now = failed(failures_before)
    breaker.note_failure(now + SAME_TROUBLE / 2, "silence", is_silence=True)
    assert breaker.reason == "silence"
    if failures_before < BREAKER_THRESHOLD:
        assert breaker.is_open(now + AFTER_SILENCE)
    breaker.note_failure(now + 1000, "silence", is_silence=True)
    assert breaker.is_open(now + 1000 + AFTER_SILENCE - 0.1)
    assert not breaker.is_open(now + 1000 + BREAKER_LONGEST)


def test_any_answer_closes_it() -> None:
    breaker, now = failed(100)
    breaker.note_success()
    assert breaker.admits(now)
    breaker.note_failure(now + 1, "again")
    assert breaker.admits(now + 1)


def test_when_its_time_is_up_one_tries_for_all() -> None:
    breaker, now = failed(BREAKER_THRESHOLD)
    later = now + BREAKER_LONGEST
    assert [breaker.admits(later) for _ in range(3)] == [True, False, False]
    assert breaker.admits(later + PROBE)  # the one that tried has not been heard of again


def test_requests_that_fail_together_are_one_failure() -> None:
    """Sixteen connections that one reset ends say no more than one does."""
    breaker = Breaker()
    for number in range(16):
        breaker.note_failure(number * SAME_TROUBLE / 16, "reset")
    assert breaker.failures == 1
    breaker.note_failure(SAME_TROUBLE, "reset")
    assert breaker.failures == 2
