"""What people see: sizes, tables, and jobs as they move; bars on a terminal, else plain lines."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

from hubfs.control.client import Json, has_ended
from hubfs.jobs import states
from hubfs.model.text import shown
from hubfs.model.units import counted, size_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

A_LINE_EVERY = 5.0
_COLOURS = {
    "completed": "green",
    "complete": "green",
    "synced": "green",
    "failed": "red",
    "cancelled": "yellow",
    "stale": "yellow",
    "partial": "yellow",
    "running": "cyan",
    "syncing": "cyan",
}


def files_text(count: int) -> str:
    """`1 file`, `2 files`."""
    return counted(count, "file")


def seconds_text(seconds: float | None) -> str:
    """A duration as people read it: `1h02m`, `3m20s`, `7s`."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def show_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Print for programs."""
    click.echo(json.dumps(value, indent=2))


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns as wide as they must be; right-aligned where the header ends in a space."""
    lines = [[name.strip() for name in header], *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    for line in lines:
        cells = [
            cell.rjust(width) if name.endswith(" ") else cell.ljust(width)
            for name, cell, width in zip(header, line, widths, strict=True)
        ]
        click.echo("  ".join(_coloured(cell) for cell in cells).rstrip())


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour else cell


# --- jobs ------------------------------------------------------------------------------


def subject_of(job: Json) -> str:
    """What a job is about, in a few words."""
    return states.subject_of(job["arguments"])


def jobs_text(numbers: Sequence[int]) -> str:
    """`job 2`, `jobs 2, 4`."""
    return ("job " if len(numbers) == 1 else "jobs ") + ", ".join(map(str, numbers))


def progress_text(job: Json) -> str:
    """How far a job is, on one line."""
    progress = job["progress"]
    if not progress["files_total"]:
        return ""
    text = "would go: " if job["arguments"].get("dry_run") else ""
    text += f"{progress['files']}/{progress['files_total']} files"
    text += f", {size_text(progress['bytes'])} of {size_text(progress['bytes_total'])}"
    if job["state"] == "running" and progress["rate"]:
        text += f", {size_text(progress['rate'])}/s, {seconds_text(progress['eta'])} left"
    return text


def job_text(job: Json) -> str:
    """A job on one line; one that waits after a failure says what failed.

    What a command does by itself has no number.
    """
    trouble = ""
    if job["state"] == "pending" and job.get("error"):
        trouble = f"after: {job['error']}; trying again, Ctrl-C to stop waiting"
    state = f"{job['state']} {trouble}".strip()
    number = f"job {job['id']}" if job["id"] else ""
    parts = (number, job["kind"], subject_of(job), state, progress_text(job))
    return "  ".join(part for part in parts if part)


class Display(Protocol):
    """Something that shows jobs as they move."""

    def show(self, job: Json) -> None:
        """A job is now so."""


@contextlib.contextmanager
def display() -> Iterator[Display]:
    """Bars where a person looks on, lines on standard error where not."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console  # noqa: PLC0415 - for a terminal alone
    from rich.progress import (  # noqa: PLC0415 - for a terminal alone
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bars(progress)


class Bars:
    """A bar for each job."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[int, TaskID] = {}

    def show(self, job: Json) -> None:
        """A job is now so."""
        task = self._tasks.get(job["id"])
        if task is None:
            task = self._tasks[job["id"]] = self._progress.add_task("", total=None)
        if job["state"] == "pending" and job["error"]:
            self._progress.console.print(job_text(job), markup=False, highlight=False)
        progress = job["progress"]
        self._progress.update(
            task,
            description=f"{job['kind']} {subject_of(job)}",
            completed=progress["bytes"],
            total=progress["bytes_total"] or None if not has_ended(job) else progress["bytes"],
        )


class Lines:
    """A line when a job changes its state, and now and then while it runs."""

    def __init__(self) -> None:
        self._shown: dict[int, tuple[str, float]] = {}

    def show(self, job: Json) -> None:
        """A job is now so."""
        state, at = self._shown.get(job["id"], ("", 0.0))
        if job["state"] != state or time.monotonic() - at >= A_LINE_EVERY:
            self._shown[job["id"]] = (job["state"], time.monotonic())
            click.echo(job_text(job), err=True)
