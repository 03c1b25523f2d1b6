"""What is about to be deleted: it is not here any more, though its files may be for a moment.

Whoever decides to delete marks it in the same breath; from then on nobody finds
it, and who would put the same thing in its place waits until it is gone.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator


class Leaving:
    """Names of the ledger that are on their way out. Thread-safe."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()
        self._changed = threading.Condition()

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def mark(self, names: Collection[bytes]) -> None:
        """They are not here from now on."""
        with self._changed:
            self._names.update(names)

    @contextlib.contextmanager
    def ending(self, names: Collection[bytes]) -> Iterator[None]:
        """They are gone, or stay after all, at the end of it."""
        try:
            yield
        finally:
            with self._changed:
                self._names.difference_update(names)
                self._changed.notify_all()

    def wait_until_gone(self, name: bytes) -> None:
        """Wait for the end of it, if it is leaving. Call it from a worker thread."""
        with self._changed:
            while name in self._names:
                self._changed.wait()
