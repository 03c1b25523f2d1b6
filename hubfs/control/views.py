"""From what is kept to what the API gives. Pure."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from hubfs.control.models import Job, Line, Progress, Scrub, Standing, Trouble
from hubfs.jobs.run import Pace
from hubfs.jobs.scrubbing import Scrubber
from hubfs.jobs.states import JobKind, JobState
from hubfs.store.records import JobRecord, LogLine, RefRecord, RefusalRecord

STALE_AFTER: Final = 86400.0


def moment(seconds: float) -> datetime | None:
    """A time of a record; None for never."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def job_of(record: JobRecord, pace: Pace, *, is_parked: bool) -> Job:
    """A job as the API shows it. Its webhook stays inside: the address may hold a secret."""
    is_waiting = record.state == JobState.PENDING
    return Job(
        id=record.id,
        batch=record.batch,
        kind=JobKind(record.kind),
        state=JobState(record.state),
        arguments=record.arguments,
        created_at=datetime.fromtimestamp(record.created_at, UTC),
        started_at=moment(record.started_at),
        ended_at=moment(record.ended_at),
        next_attempt_at=moment(record.not_before) if is_waiting else None,
        background=record.in_background,
        parked=is_parked,
        attempts=record.attempts,
        progress=Progress(
            files=record.files,
            files_total=record.files_total,
            bytes=record.size,
            bytes_total=record.size_total,
            rate=pace.rate,
            eta=pace.eta,
        ),
        failed=record.failed,
        failures=record.failures,
        error=record.error,
        hint=record.hint,
        result=record.result,
    )


def trouble_of(record: logging.LogRecord) -> Trouble:
    """A record of the daemon's log as the API shows it."""
    at = datetime.fromtimestamp(record.created, UTC)
    return Trouble(at=at, level=record.levelname.lower(), text=record.getMessage())


def scrub_of(scrubber: Scrubber) -> Scrub:
    """How far the scrub is."""
    record = scrubber.record
    return Scrub(
        state="running" if scrubber.is_running else "resting" if scrubber.is_on else "off",
        files=record.files,
        size=record.size,
        size_total=scrubber.everything.size,
        flaws=record.flaws,
        began_at=moment(record.began_at),
        ended_at=moment(record.ended_at),
    )


def line_of(line: LogLine) -> Line:
    """A line of a log as the API shows it."""
    at = datetime.fromtimestamp(line.at, UTC)
    return Line(number=line.number, at=at, level=line.level, text=line.text)


def standing_of(
    ref: RefRecord | None, refusal: RefusalRecord | None, now: float, *, is_syncing: bool
) -> Standing:
    """What to say of a repo's metadata.

    A repo whose last sync failed is `failed`, though what is known of it goes
    on being served. `stale` is one that nobody has asked about for a day.
    """
    if is_syncing:
        return "syncing"
    if refusal is not None and (ref is None or refusal.at > ref.checked_at):
        return "failed"
    if ref is None:
        return "registered"
    return "stale" if now - ref.checked_at > STALE_AFTER else "synced"
