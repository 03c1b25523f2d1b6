"""What is about to be deleted: it is not here any more, though its files may be for a moment.

Whoever decides to delete marks it in the same breath; from then on nobody finds
it, and who would put the same thing in its place waits until it is gone. Nor can
what is being put in place be marked: its new file would go for the old one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Collection, Iterator


class Leaving:
    """Names of the ledger that are on their way out. Thread-safe."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()
        self._arriving: Counter[bytes] = Counter()
        self._changed = threading.Condition()

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def is_moving(self, name: bytes) -> bool:
        """Whether it is on its way out, or just being put in place: neither is a state to judge."""
        return name in self._names or self._arriving.get(name, 0) > 0

    def mark(self, names: Collection[bytes]) -> set[bytes]:
        """They are not here from now on; but for those that are arriving, which are returned."""
        with self._changed:
            staying = {name for name in names if self._arriving[name]}
            self._names.update(name for name in names if name not in staying)
        return staying

    @contextlib.contextmanager
    def ending(self, names: Collection[bytes]) -> Iterator[None]:
        """They are gone, or stay after all, at the end of it."""
        try:
            yield
        finally:
            with self._changed:
                self._names.difference_update(names)
                self._changed.notify_all()

    @contextlib.contextmanager
    def arriving(self, name: bytes) -> Iterator[None]:
        """Within, what has that name may be put in place, and stays. Call it from a worker thread.

        Waits for its like to be gone first.
        """
        with self._changed:
            self.wait_until_gone(name)
            self._arriving[name] += 1
        try:
            yield
        finally:
            with self._changed:
                self._arriving[name] -= 1
                self._arriving += Counter()  # which forgets those of none

    def wait_until_gone(self, name: bytes) -> None:
        """Wait for the end of it, if it is leaving. Call it from a worker thread."""
        with self._changed:
            while name in self._names:
                self._changed.wait()
