"""What may become of a job. Pure: a record and an explicit `now` in, a record out.

A job that is running when its process ends is pending again at the next start:
nothing but its own end, or a person, takes a job out of the queue.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from hubfs.errors import (
    FetchFailed,
    FetchStopped,
    HubfsError,
    JobIncomplete,
    NoConnection,
    TransientHubError,
    WrongJobState,
)
from hubfs.store.records import JobRecord

MOST_ATTEMPTS: Final = 5
HISTORY: Final = 1000
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 600.0
LONGEST_AWAITED: Final = 10.0  # for a connection; a person has seen by then that there is none


class JobKind(enum.StrEnum):
    """What a job does."""

    SYNC = "sync"
    DOWNLOAD = "download"
    SCAN = "scan"
    VERIFY = "verify"
    EVICT = "evict"


class JobState(enum.StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
_MOVES: Final = {
    "started": ({JobState.PENDING}, JobState.RUNNING),
    "completed": ({JobState.RUNNING}, JobState.COMPLETED),
    "failed": ({JobState.RUNNING}, JobState.FAILED),
    "interrupted": ({JobState.RUNNING}, JobState.PENDING),
    "cancelled": ({JobState.PENDING, JobState.RUNNING}, JobState.CANCELLED),
    "tried again": ({JobState.FAILED, JobState.CANCELLED}, JobState.PENDING),
}


def subject_of(arguments: Mapping[str, Any]) -> str:
    """What a job is about, in a few words."""
    subject = arguments.get("repo") or arguments.get("path") or "everything"
    revision = arguments.get("revision")
    return f"{subject}@{revision}" if revision else str(subject)


def failure_text(kind: str, arguments: Mapping[str, Any], reason: str) -> str:
    """What has failed, and why; what it is about is said once, also where a reason begins so."""
    subject = subject_of(arguments)
    return f"{kind} of {subject}: {reason.removeprefix(f'{subject}: ')}"


def has_ended(record: JobRecord) -> bool:
    """Whether nothing more will happen to the job by itself."""
    return record.state in ENDED


def _moved(record: JobRecord, move: str) -> JobRecord:
    before, after = _MOVES[move]
    if record.state not in before:
        raise WrongJobState(f"job {record.id} is {record.state}: it cannot be {move}")
    return replace(record, state=after)


def started(record: JobRecord, now: float) -> JobRecord:
    """The job at the beginning of an attempt: what earlier ones counted and failed at is past."""
    return replace(
        _moved(record, "started"),
        started_at=record.started_at or now,
        ended_at=0.0,
        attempts=record.attempts + 1,
        files=0,
        size=0,
        failed=0,
        failures={},
        error="",
        hint="",
    )


def completed(record: JobRecord, now: float) -> JobRecord:
    """The job when its work is done."""
    return replace(_moved(record, "completed"), ended_at=now)


def cancelled(record: JobRecord, now: float) -> JobRecord:
    """The job when a person has called it off.

    Raises:
        WrongJobState: it has ended.
    """
    return replace(_moved(record, "cancelled"), ended_at=now)


def interrupted(record: JobRecord) -> JobRecord:
    """The job when its process ended under it: to be gone on with, and no attempt of its own."""
    moved = _moved(record, "interrupted")
    attempts = max(0, record.attempts - 1)
    return _left_alone(replace(moved, attempts=attempts, not_before=0.0))


def retried(record: JobRecord) -> JobRecord:
    """The job when a person wants it tried again, from the first attempt on.

    Raises:
        WrongJobState: it has not failed and was not cancelled.
    """
    moved = _moved(record, "tried again")
    again = replace(moved, attempts=0, not_before=0.0, ended_at=0.0, error="", hint="")
    return _left_alone(again)


def left(record: JobRecord) -> JobRecord:
    """A job that its process has left, as the next one finds it: nobody waits for it any more."""
    found = interrupted(record) if record.state == JobState.RUNNING else record
    return _left_alone(found)


def _left_alone(record: JobRecord) -> JobRecord:
    return replace(record, awaited_since=0.0, cut_off_since=0.0)


def joined(record: JobRecord, wanted: JobRecord) -> JobRecord:
    """A job when the same is wished for once more, as `wanted` says, which is no job yet."""
    if wanted.awaited_since:
        record = replace(record, awaited_since=wanted.awaited_since, cut_off_since=0.0)
    return replace(record, in_background=record.in_background or wanted.in_background)


def failed(record: JobRecord, error: HubfsError, now: float) -> JobRecord:
    """The job after an attempt that failed: pending once more after a pause, or failed.

    Where somebody waits for it, a connection that cannot be had is not tried for long.
    """
    cut_off_since = (record.cut_off_since or now) if _lacks_connection(error) else 0.0
    given_up = replace(
        _moved(record, "failed"), error=str(error), hint=error.hint, cut_off_since=cut_off_since
    )
    if may_pass(error) and record.attempts < MOST_ATTEMPTS:
        not_before = now + pause_after(record.attempts)
        if not _is_too_late(given_up, not_before):
            return replace(given_up, state=JobState.PENDING, not_before=not_before)
    return replace(given_up, ended_at=now)


def may_pass(error: HubfsError) -> bool:
    """Whether another attempt may meet no such failure."""
    if isinstance(error, JobIncomplete):
        return error.may_pass
    return isinstance(error, TransientHubError | FetchFailed | FetchStopped)


def _lacks_connection(error: HubfsError) -> bool:
    if isinstance(error, JobIncomplete):
        return error.lacks_connection
    return isinstance(error, NoConnection)


def _is_too_late(record: JobRecord, moment: float) -> bool:
    since = record.cut_off_since
    is_awaited = bool(record.awaited_since and since)
    return is_awaited and not since <= moment <= since + LONGEST_AWAITED


def pause_after(attempts: int) -> float:
    """Seconds to wait after so many attempts: a bound that doubles, and half of it is chance."""
    bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 32))
    return float(bound * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
