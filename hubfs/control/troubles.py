"""The last warnings and errors of the log, kept for who asks what is wrong."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator

MOST = 50


class Troubles(logging.Handler):
    """A handler of hubfs's own log, within `kept`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._records: deque[logging.LogRecord] = deque(maxlen=MOST)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._records.append(record)

    def recent(self) -> list[logging.LogRecord]:
        """What is kept, newest first."""
        return list(self._records)[::-1]


@contextlib.contextmanager
def kept() -> Iterator[Troubles]:
    """Troubles of whatever is logged within."""
    troubles, logger = Troubles(), logging.getLogger("hubfs")
    logger.addHandler(troubles)
    try:
        yield troubles
    finally:
        logger.removeHandler(troubles)
