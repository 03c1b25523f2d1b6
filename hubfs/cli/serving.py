"""Being a daemon: how it begins, whoever started it."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import click

from hubfs.cli.background import Readiness
from hubfs.cli.logfiles import open_log
from hubfs.config.resolving import Sources, settings_from
from hubfs.config.sources import Layer
from hubfs.daemon.secrets import exposed
from hubfs.errors import HubfsError

log = logging.getLogger(__name__)


def serve(
    sources: Sources, layer: Layer, mountpoint: Path, readiness: Readiness, *, foreground: bool
) -> None:
    """Be the daemon of what `sources` said, `layer`, until unmounted or told to stop.

    Raises:
        HubfsError: it could not begin; whoever started it has been told.
    """
    # What a daemon is made of takes half a second to load: who only starts one does without.
    from hubfs.cli.handing import start_jobs  # noqa: PLC0415
    from hubfs.daemon import daemon  # noqa: PLC0415
    from hubfs.daemon.reloading import Reloading  # noqa: PLC0415

    os.chdir("/")  # the daemon must not keep the directory it was started from busy
    settings = settings_from(layer, mountpoint)
    try:
        sink = open_log(settings, foreground=foreground)
        for file in exposed(layer, os.environ):
            log.warning("%s holds secrets, and others may read it: chmod 600 it", file)
        has_taken_over = daemon.take_over_jobs(settings)
        try:
            daemon.run(settings, Reloading(sources, layer, mountpoint, sink), readiness)
        except HubfsError:
            if has_taken_over:
                with contextlib.suppress(HubfsError):  # then with the next command
                    start_jobs(settings)
            raise
    except HubfsError as error:
        # Where the log is another daemon's, nothing of this one belongs there.
        if readiness.refuse(error):
            raise click.exceptions.Exit(1) from None
        raise
