"""When the cache is scrubbed, and how gently."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hubfs.jobs.scrubplan import (
    CALM,
    LOWEST_RATE,
    MONTH,
    rate_for,
    rest_after,
    wait_before,
)
from hubfs.model.content import MIB
from hubfs.store.records import ScrubRecord

TIMES = st.floats(1e9, 2e9)
RATES = st.none() | st.integers(1, 1 << 40)
TIB = 1 << 40


@given(RATES, TIMES, TIMES)
def test_a_pass_begins_a_month_after_the_one_before_and_never_sooner(
    rate: int | None, began_at: float, now: float
) -> None:
    wait = wait_before(ScrubRecord(began_at=began_at), rate, started_at=now - CALM, now=now)
    if began_at <= now:
        assert math.isclose(wait, max(0.0, began_at + MONTH - now), abs_tol=1e-3)
    else:
        assert wait == 0  # the clock was set back


@given(TIMES, TIMES)
def test_a_pass_that_was_broken_off_is_gone_on_with(began_at: float, now: float) -> None:
    record = ScrubRecord(after="ab", began_at=began_at)
    assert wait_before(record, 1, started_at=now, now=now) == 0
    assert wait_before(record, None, started_at=now, now=now) == CALM


@given(TIMES)
def test_one_that_is_switched_off_never_begins(now: float) -> None:
    assert wait_before(ScrubRecord(after="ab"), 0, started_at=now, now=now) == math.inf


@given(st.integers(0, 64 * TIB), st.integers(0, TIB))
def test_left_to_itself_it_is_slow_and_yet_done_within_a_month(everything: int, blob: int) -> None:
    rate = rate_for(None, everything, blob)
    assert rate >= LOWEST_RATE
    assert everything / rate <= MONTH * 1.001
    assert blob / rate <= 3600.001
    assert rate_for(None, 10 * TIB, MIB) < 5 * MIB


def test_a_rate_that_is_asked_for_is_kept_to() -> None:
    rate = rate_for(10 * MIB, 64 * TIB, TIB)
    assert rest_after(MIB, rate) == 0.1
    # A million small files are no reason to turn the disk a million times a minute.
    assert rest_after(1, rate) > 0.005
