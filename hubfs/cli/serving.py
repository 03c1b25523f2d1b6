"""Being a daemon: its log, and how it begins, whoever started it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from hubfs.cli.background import Readiness
from hubfs.config import Settings
from hubfs.config.resolving import Sources, settings_from
from hubfs.config.sources import Layer
from hubfs.daemon.logs import Log
from hubfs.daemon.registry import log_file_beside
from hubfs.daemon.secrets import exposed
from hubfs.errors import HubfsError
from hubfs.store.files import make_private_directory, writing

log = logging.getLogger(__name__)

LOG_NAME = "hubfs.log"


def log_file_of(settings: Settings) -> Path:
    """Where a daemon in the background logs: in its cache, or elsewhere if that is read-only."""
    if settings.log.log_file is not None:
        return settings.log.log_file
    cache = settings.cache_dir
    is_read_only = cache.is_dir() and not os.access(cache, os.W_OK)
    return log_file_beside(settings.mountpoint or cache) if is_read_only else cache / LOG_NAME


def serve(
    sources: Sources, layer: Layer, mountpoint: Path, readiness: Readiness, *, foreground: bool
) -> None:
    """Be the daemon of what `sources` said, `layer`, until unmounted or told to stop.

    Raises:
        HubfsError: it could not begin; whoever started it has been told.
    """
    # What a daemon is made of takes half a second to load: who only starts one does without.
    from hubfs.daemon import daemon  # noqa: PLC0415
    from hubfs.daemon.reloading import Reloading  # noqa: PLC0415

    os.chdir("/")  # the daemon must not keep the directory it was started from busy
    settings = settings_from(layer, mountpoint)
    try:
        sink = open_log(settings, foreground=foreground)
        for file in exposed(layer, os.environ):
            log.warning("%s holds secrets, and others may read it: chmod 600 it", file)
        daemon.run(settings, Reloading(sources, layer, mountpoint, sink), readiness)
    except HubfsError as error:
        # Where the log is another daemon's, nothing of this one belongs there.
        if readiness.refuse(error):
            raise click.exceptions.Exit(1) from None
        raise


def open_log(settings: Settings, *, foreground: bool) -> Log:
    """Log where it is wanted; who stays in the foreground may want it on standard error.

    Raises:
        StoreError: the file cannot be written.
    """
    file = settings.log.log_file if foreground else log_file_of(settings)
    if file is None:
        return Log(settings.log)
    make_private_directory(file.parent)
    with writing(file):
        return Log(settings.log, file)
