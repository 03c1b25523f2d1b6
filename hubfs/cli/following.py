"""Waiting for jobs: shown while they move, summed up when they have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import click

from hubfs.cli.ending import exit_code_of
from hubfs.cli.reaching import Reached
from hubfs.cli.showing import display
from hubfs.control.client import Client, Conflict, Json, has_ended
from hubfs.jobs.states import failure_text
from hubfs.model.text import shown


def follow(reached: Reached, numbers: Sequence[int]) -> list[Json]:
    """Wait until the jobs have ended, and return them.

    Ctrl-C ends the waiting, with exit code 130, and says what becomes of the jobs. So does a
    signal that ends a command with an engine of its own.
    """
    ended: dict[int, Json] = {}
    try:
        with display() as shown:
            for job in _changes(reached.client, numbers):
                if has_ended(job):
                    ended[job["id"]] = job
                shown.show(job)
                if len(ended) == len(set(numbers)):
                    break
        return [reached.client.job(number) for number in numbers]
    except KeyboardInterrupt as interrupt:
        _explain(reached, [number for number in numbers if number not in ended] or numbers)
        raise click.exceptions.Exit(exit_code_of(interrupt)) from None


def _changes(client: Client, numbers: Sequence[int]) -> Iterator[Json]:
    while True:
        with client.changes() as changes:
            for number in dict.fromkeys(numbers):
                yield _going_on(client, number)
            for job in changes:
                if job["id"] in numbers:
                    yield job


def _going_on(client: Client, number: int) -> Json:
    """The job; it begins again if the process has ended that ran it.

    Raises:
        Conflict: it cannot.
    """
    job = client.job(number)
    if not job.get("parked"):
        return job
    try:
        return client.post(f"/v1/hub/jobs/{number}/retry")
    except Conflict:  # another who waits for it was quicker
        job = client.job(number)
        if job["parked"]:
            raise
        return job


def _explain(reached: Reached, numbers: Sequence[int]) -> None:
    which = "job " if len(numbers) == 1 else "jobs "
    which += ", ".join(str(number) for number in numbers)
    if reached.is_own:
        click.echo(f"\nwhat has come is kept, and {which} too", err=True)
        click.echo("  the same command goes on; so does a mount", err=True)
        return
    who = "the daemon" if reached.is_daemon else "another command, as long as it runs,"
    click.echo(f"\n{who} goes on with {which}", err=True)
    click.echo(f"  look on: hubfs jobs {numbers[0]} --follow", err=True)
    click.echo(f"  stop it: hubfs jobs {numbers[0]} --cancel", err=True)


def conclude(jobs: Sequence[Json]) -> None:
    """Say what became of jobs; exit with 1 if one did not complete."""
    for job in jobs:
        if job["state"] != "completed":
            reason = job["error"] or job["state"]
            failure = failure_text(job["kind"], job["arguments"], reason)
            click.secho(f"hubfs: {failure}", fg="red", err=True)
            for name, reason in job["failures"].items():
                click.echo(f"  {shown(name)}: {reason}", err=True)
            if job["failed"] > len(job["failures"]):
                click.echo(f"  and {job['failed'] - len(job['failures'])} more", err=True)
            if job["hint"]:
                click.echo(f"  {job['hint']}".replace(" ID ", f" {job['id']} "), err=True)
    if any(job["state"] != "completed" for job in jobs):
        _fail()


def _fail() -> NoReturn:
    raise click.exceptions.Exit(1)
