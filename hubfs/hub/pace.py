"""When a request may be made: backoff, the Hub's rate limit, a breaker. Pure, over `now`.

One instance of each serves the whole process, so that no part of hubfs feeds a
limit that another part has hit. Methods are single assignments on plain
attributes and may be called from any thread.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hubfs.hub.answers import RateState

BREAKER_THRESHOLD = 3
BREAKER_LONGEST = 30.0


def backoff(attempt: int, *, base: float = 0.25, longest: float = 30.0) -> float:
    """Seconds to wait before `attempt` (from 1), drawn between 0 and a bound that doubles.

    Full jitter: readers that failed together do not come back together.
    """
    return random.uniform(0.05, min(longest, base * 2**attempt))  # noqa: S311 - no secret


@dataclass(slots=True)
class RateLimits:
    """The Hub's request buckets ("api", "resolvers"), as its answers describe them."""

    _closed_until: dict[str, float] = field(default_factory=dict)

    def note(self, state: RateState | None, now: float) -> None:
        """Take in what an answer said; an empty bucket closes until it refills."""
        if state is None:
            return
        if state.left == 0:
            self._closed_until[state.bucket] = now + state.reset + 1
        else:
            self._closed_until.pop(state.bucket, None)

    def close(self, bucket: str, now: float, seconds: float) -> None:
        """Let nothing through `bucket` for `seconds`: it answered 429."""
        self._closed_until[bucket] = max(self._closed_until.get(bucket, 0.0), now + seconds)

    def wait(self, bucket: str, now: float) -> float:
        """Seconds until a request through `bucket` is welcome; 0 when it is."""
        return max(0.0, self._closed_until.get(bucket, 0.0) - now)


@dataclass(slots=True)
class Breaker:
    """Opens after several failures to reach the Hub in a row, so that nobody queues for a dead one.

    While it is open, requests whose answer is not vital fail at once. When the
    time is up one request at a time may try; success closes it.
    """

    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""

    def note_success(self) -> None:
        """The Hub answered, be it with a refusal."""
        self.failures, self.reason = 0, ""

    def note_failure(self, now: float, reason: str) -> None:
        """The Hub could not be reached."""
        self.failures, self.reason = self.failures + 1, reason
        over = self.failures - BREAKER_THRESHOLD
        if over >= 0:
            self.retry_at = now + min(BREAKER_LONGEST, 2.0**over)

    def is_open(self, now: float) -> bool:
        """Whether to fail now rather than try."""
        return self.failures >= BREAKER_THRESHOLD and now < self.retry_at
