"""The log of a daemon: lines for people or objects for programs, in a file that may be rotated.

The file is opened for appending and can be opened anew, so that both ways of
rotating it work: renaming it and telling the daemon, and copying and cutting it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hubfs.config import LogFormat, LogSettings

_TEXT: Final = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
_STANDARD: Final = (1, 2)


class JsonFormatter(logging.Formatter):
    """An object on a line for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


class Log:
    """Where hubfs logs. Only its own loggers go below warnings: others name signed addresses."""

    def __init__(self, settings: LogSettings, file: Path | None = None) -> None:
        """Log to `file`, which is standard error's too in the background; else to standard error.

        Raises:
            OSError: `file` cannot be written.
        """
        self._file = file
        self._descriptors: tuple[int, ...] = ()
        if file and _is_standard_error(file):
            self._descriptors = _STANDARD
        stream = sys.stderr
        if file and not self._descriptors:
            stream = file.open("a", encoding="utf-8", buffering=1)
            self._descriptors = (stream.fileno(),)
        self.handler = logging.StreamHandler(stream)
        self.take(settings)
        logging.basicConfig(level=logging.WARNING, handlers=[self.handler])

    def take(self, settings: LogSettings) -> None:
        """Go on with another level and format."""
        level = logging.getLevelNamesMapping()[settings.log_level.name]
        # Warnings are made in any case: `hubfs status` tells of the last ones.
        logging.getLogger("hubfs").setLevel(min(level, logging.WARNING))
        self.handler.setLevel(level)
        is_json = settings.log_format is LogFormat.JSON
        self.handler.setFormatter(JsonFormatter() if is_json else _TEXT)

    def reopen(self) -> None:
        """Go on in the file that has the name now; make it if there is none.

        Raises:
            OSError: it cannot be written; the old one is gone on with.
        """
        if self._file is None:
            return
        with self._file.open("ab") as opened:
            for descriptor in self._descriptors:
                os.dup2(opened.fileno(), descriptor, inheritable=descriptor in _STANDARD)


def _is_standard_error(file: Path) -> bool:
    """Whether who started this process has made `file` its standard error already."""
    try:
        return os.path.samestat(os.fstat(2), file.stat())
    except OSError:
        return False
