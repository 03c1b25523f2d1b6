"""When the cache is scrubbed, and how gently. Pure, over an explicit `now`.

A pass over all blobs begins a month after the one before it began. Left to
itself it takes about that month too, which on most disks nobody will notice.
A rate of None leaves it to itself, one of 0 switches it off.
"""

from __future__ import annotations

import math
from typing import Final

from hubfs.model.content import MIB
from hubfs.store.records import ScrubRecord

MONTH: Final = 30 * 86400.0
CALM: Final = 600.0  # after a start others have more need of the disk, unless a rate was asked for
LOWEST_RATE: Final = MIB / 4
LONGEST_BLOB: Final = 3600.0  # a blob has to be read within one life of a daemon
LEAST_COUNTED: Final = MIB // 16  # a small file costs more than its bytes


def wait_before(record: ScrubRecord, rate: int | None, started_at: float, now: float) -> float:
    """Seconds until the next pass, or the rest of the last, is due."""
    if rate == 0:
        return math.inf
    calm = started_at + CALM if rate is None else started_at
    is_within = bool(record.after)
    # A clock that was set back must not put it off for years.
    is_rested = is_within or not 0 <= now - record.began_at < MONTH
    due = calm if is_rested else max(calm, record.began_at + MONTH)
    return max(0.0, due - now)


def rate_for(rate: int | None, everything: int, blob: int) -> float:
    """Bytes per second at which to read a blob of `blob` bytes, of `everything` that is here."""
    if rate is not None:
        return float(rate)
    return max(LOWEST_RATE, everything / MONTH, blob / LONGEST_BLOB)


def rest_after(count: int, rate: float) -> float:
    """Seconds to rest after so many bytes."""
    return max(count, LEAST_COUNTED) / rate
