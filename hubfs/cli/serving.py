"""Being a daemon: its log, and how it begins, whoever started it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from hubfs.cli.background import Readiness
from hubfs.config import Settings
from hubfs.daemon.registry import log_file_beside
from hubfs.errors import HubfsError

LOG_NAME = "hubfs.log"


def log_file_of(settings: Settings) -> Path:
    """Where a daemon in the background logs: in its cache, or elsewhere if that is read-only."""
    cache = settings.cache_dir
    is_read_only = cache.is_dir() and not os.access(cache, os.W_OK)
    return log_file_beside(settings.mountpoint or cache) if is_read_only else cache / LOG_NAME


def serve(settings: Settings, readiness: Readiness, *, verbose: bool) -> None:
    """Be the daemon, until unmounted or told to stop.

    Raises:
        HubfsError: it could not begin; whoever started it has been told.
    """
    # What a daemon is made of takes half a second to load: who only starts one does without.
    from hubfs.daemon import daemon  # noqa: PLC0415

    os.chdir("/")  # the daemon must not keep the directory it was started from busy
    configure_logging(verbose=verbose)
    try:
        daemon.run(settings, readiness.announce)
    except HubfsError as error:
        readiness.refuse(error)
        raise


def configure_logging(*, verbose: bool) -> None:
    """One line an event on standard error; the log file of a background daemon."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # httpx names whole addresses, and contents' addresses hold signatures.
    logging.getLogger("httpx").setLevel(logging.WARNING)
