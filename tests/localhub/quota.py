"""The Hub's rate limits: requests counted per caller, bucket and window.

Counts in fixed windows; `now` comes from the caller.
"""

import threading
from typing import Literal, NamedTuple

Bucket = Literal["api", "resolvers", "pages"]


class Balance(NamedTuple):
    """What is left of a window after a request was counted."""

    bucket: Bucket
    limit: int
    remaining: int
    resets_in: int
    window: int
    is_exhausted: bool

    def headers(self) -> tuple[tuple[str, str], ...]:
        return (
            ("RateLimit", f'"{self.bucket}";r={self.remaining};t={self.resets_in}'),
            ("RateLimit-Policy", f'"fixed window";"{self.bucket}";q={self.limit};w={self.window}'),
        )


class Quota:
    """Shared by all connections; `limit` and `window` may be changed at any time."""

    def __init__(self) -> None:
        self.limit = 1_000_000
        self.window = 300
        self._lock = threading.Lock()
        self._spent: dict[tuple[Bucket, str, int], int] = {}

    def charge(self, bucket: Bucket, caller: str, now: float) -> Balance:
        """Count one request; refused ones are not counted."""
        window, limit = self.window, self.limit
        key = bucket, caller, int(now // window)
        with self._lock:
            spent = self._spent.get(key, 0)
            is_exhausted = spent >= limit
            self._spent[key] = spent + (not is_exhausted)
        remaining = max(limit - spent - 1, 0)
        resets_in = int(window - now % window)
        return Balance(bucket, limit, remaining, resets_in, window, is_exhausted)

    def reset(self) -> None:
        """Forget what was spent."""
        with self._lock:
            self._spent.clear()
