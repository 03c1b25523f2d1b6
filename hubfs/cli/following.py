"""Waiting for jobs: shown while they move, summed up when they have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import click

from hubfs.cli.ending import exit_code_of
from hubfs.cli.reaching import Reached
from hubfs.cli.showing import display, jobs_text
from hubfs.control.client import Client, Json, has_ended
from hubfs.jobs.states import failure_text
from hubfs.model.text import shown


def follow(reached: Reached, numbers: Sequence[int]) -> list[Json]:
    """Wait until the jobs have ended, and return them.

    Ctrl-C ends the waiting, with exit code 130, and says what becomes of the jobs. So does a
    signal that ends a command with an engine of its own.
    """
    reached.is_following = True
    seen: dict[int, Json] = {}
    try:
        with display() as shown:
            for job in _changes(reached.client, numbers):
                seen[job["id"]] = job
                shown.show(job)
                if all(number in seen and has_ended(seen[number]) for number in numbers):
                    break
        return [_with_log(reached.client, seen[number]) for number in numbers]
    except KeyboardInterrupt as interrupt:
        _explain(reached, numbers, seen)
        raise click.exceptions.Exit(exit_code_of(interrupt)) from None


def _with_log(client: Client, ended: Json) -> Json:
    job = client.job(ended["id"])
    return job if has_ended(job) else {**job, **ended}  # somebody has it tried again already


def _changes(client: Client, numbers: Sequence[int]) -> Iterator[Json]:
    while True:
        with client.changes() as changes:
            for number in dict.fromkeys(numbers):
                job = client.job(number)
                yield client.post(f"/v1/hub/jobs/{number}/resume") if job.get("parked") else job
            for job in changes:
                if job["id"] in numbers:
                    yield job


def _explain(reached: Reached, numbers: Sequence[int], seen: dict[int, Json]) -> None:
    left = [each for each in numbers if each not in seen or not has_ended(seen[each])] or numbers
    if not reached.is_own:
        who = "the daemon" if reached.is_daemon else "another command, as long as it runs,"
        click.echo(f"\n{who} goes on with {jobs_text(left)}", err=True)
        click.echo(f"  look on: hubfs jobs {left[0]} --follow", err=True)
        click.echo(f"  stop it: hubfs jobs {left[0]} --cancel", err=True)
        return
    # Of those in the background, whoever ends the engine says what becomes of them.
    kept = [each for each in left if not reached.client.job(each)["background"]]
    if kept:
        click.echo(f"\nwhat has come is kept, and {jobs_text(kept)} too", err=True)
        click.echo("  the same command goes on; so does a mount", err=True)


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
