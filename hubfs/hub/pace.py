"""When a request may be made: backoff, the Hub's rate limit, a breaker. Pure, over `now`.

One instance of each serves the whole process, so that no part of hubfs feeds a
limit that another part has hit. Methods only assign plain attributes and may be
called from any thread; a race loses a count, nothing more.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from hubfs.hub.answers import LONGEST_PAUSE, RateState

API, RESOLVERS = "api", "resolvers"  # the Hub's names of the buckets we draw from

BREAKER_THRESHOLD = 3
BREAKER_LONGEST = 30.0
SAME_TROUBLE = 0.25
AFTER_SILENCE = 10.0
PROBE = 10.0


def backoff(attempt: int, *, base: float = 0.25, longest: float = 30.0) -> float:
    """Seconds to wait before `attempt` (from 1), drawn between 0 and a bound that doubles.

    Full jitter: readers that failed together do not come back together.
    """
    bound = min(longest, base * 2 ** min(attempt, 32))
    return random.uniform(0.05, bound)  # noqa: S311 - no secret


@dataclass(slots=True)
class RateLimits:
    """The Hub's request buckets, as its answers describe them. No pause is longer than a window."""

    _closed_until: dict[str, float] = field(default_factory=lambda: {API: 0.0, RESOLVERS: 0.0})

    def note(self, states: Iterable[RateState], now: float) -> None:
        """Take in what an answer said; an empty bucket closes until it refills."""
        for state in states:
            if state.bucket in self._closed_until:
                pause = min(state.reset + 1, LONGEST_PAUSE)
                self._closed_until[state.bucket] = 0.0 if state.left else now + pause

    def close(self, bucket: str, now: float, seconds: float) -> None:
        """Let nothing through `bucket` for `seconds`: it answered 429."""
        until = now + min(seconds, LONGEST_PAUSE)
        self._closed_until[bucket] = max(self._closed_until[bucket], until)

    def wait(self, bucket: str, now: float) -> float:
        """Seconds until a request through `bucket` is welcome; 0 when it is."""
        return max(0.0, self._closed_until[bucket] - now)


@dataclass(slots=True)
class Breaker:
    """Opens after several failures to reach the Hub in a row, so that nobody queues for a dead one.

    A silence is as good as several: it is long, and it is paid for by who asked.

    While it is open, requests whose answer is not vital fail at once. When the
    time is up one request at a time may try; success closes it.
    """

    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    was_answered: bool = False
    lacks_connection: bool = False  # the last time: nobody was there, rather than said nothing
    _counted_at: float = -SAME_TROUBLE

    def note_success(self) -> None:
        """The Hub answered, be it with a refusal."""
        self.failures, self.reason, self.was_answered = 0, "", True

    def note_failure(
        self, now: float, reason: str, *, is_silence: bool = False, lacks_connection: bool = False
    ) -> None:
        """The Hub could not be reached, or said nothing: who asks that waits long for each."""
        self.reason, self.lacks_connection = reason, lacks_connection
        if is_silence and self.failures < BREAKER_THRESHOLD:
            self.failures = BREAKER_THRESHOLD - 1
        elif self.failures and now < self._counted_at + SAME_TROUBLE:
            return  # requests that were under way together fail together
        self._counted_at, self.failures = now, self.failures + 1
        over = self.failures - BREAKER_THRESHOLD
        if over >= 0:
            pause = max(2.0 ** min(over, 32), AFTER_SILENCE if is_silence else 0.0)
            self.retry_at = now + min(BREAKER_LONGEST, pause)

    @property
    def standing(self) -> str:
        """How the Hub is, as far as anybody has tried."""
        return self.reason or ("reachable" if self.was_answered else "not asked yet")

    def is_open(self, now: float) -> bool:
        """Whether a request would fail at once."""
        return self.failures >= BREAKER_THRESHOLD and now < self.retry_at

    def admits(self, now: float) -> bool:
        """Whether to try now; whoever is let through an open breaker tries for all."""
        if self.is_open(now):
            return False
        if self.failures >= BREAKER_THRESHOLD:
            self.retry_at = now + PROBE
        return True
