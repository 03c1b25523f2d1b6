"""Where processes in the background log."""

from __future__ import annotations

import os
from pathlib import Path

from hubfs.config import Settings
from hubfs.daemon.logs import Log
from hubfs.daemon.registry import log_file_beside
from hubfs.store.files import make_private_directory, writing

LOG_NAME = "hubfs.log"


def log_file_of(settings: Settings) -> Path:
    """Where a daemon in the background logs: in its cache, or elsewhere if that is read-only."""
    if settings.log.log_file is not None:
        return settings.log.log_file
    cache = settings.cache_dir
    is_read_only = cache.is_dir() and not os.access(cache, os.W_OK)
    return log_file_beside(settings.mountpoint or cache) if is_read_only else cache / LOG_NAME


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
