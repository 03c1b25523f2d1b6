"""Work in the background where no daemon runs: one is started that ends with its last job."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from hubfs.cli.answering import is_answered
from hubfs.cli.background import start
from hubfs.cli.checking import warn_of_exposed, warn_of_webhook
from hubfs.cli.logfiles import log_file_of
from hubfs.cli.options import given_sources
from hubfs.cli.showing import jobs_text
from hubfs.config import Settings
from hubfs.errors import HubfsError

DAEMON_STARTS_WITHIN = 5.0


def ensure_daemon(settings: Settings) -> None:
    """Where nobody answers for the cache, start a daemon that ends with its last job.

    Raises:
        HubfsError: it cannot begin.
    """
    if not is_answered(settings):
        warn_of_webhook(settings.control)
        warn_of_exposed(given_sources({}).combined())
        start_jobs(settings)


def start_jobs(settings: Settings) -> None:
    """Start a daemon that does the jobs in the background; fine, if somebody else answers by then.

    Raises:
        HubfsError: it cannot begin.
    """
    arguments = ["work", "--cache-dir", str(settings.cache_dir), "--endpoint", settings.endpoint]
    arguments.append("--offline" if settings.offline else "--no-offline")
    deadline = time.monotonic() + DAEMON_STARTS_WITHIN
    while True:
        try:
            start(arguments, log_file_of(settings))
        except HubfsError:
            # Another has been quicker, or a command that owns the cache is about to end.
            if is_answered(settings, 1.0):
                return
            if time.monotonic() >= deadline:
                raise
        else:
            return


def hand_over(settings: Settings, jobs: Sequence[int]) -> None:
    """See to it that jobs go on which a command leaves, though nobody looks on; say so.

    Whoever has the cache by then does so too: in the journal they are jobs in the background.
    """
    if not jobs:
        return
    which = jobs_text(jobs)
    try:
        start_jobs(settings)
    except HubfsError as error:
        click.echo(f"hubfs: {which}, in the background, cannot go on now: {error}", err=True)
        click.echo("  the next command or mount goes on", err=True)
    else:
        go = "go" if len(jobs) > 1 else "goes"
        click.echo(f"{which} {go} on in the background", err=True)
