"""Which snapshots somebody has found since the start: their numbers may be in use in the kernel."""

from __future__ import annotations

import threading


class Met:
    """Numbers that must stay, and those that are about to go. Thread-safe."""

    def __init__(self) -> None:
        self._met: set[int] = set()
        self._going: set[int] = set()
        self._lock = threading.Lock()

    def meet(self, number: int) -> bool:
        """It is found, and stays from now on; False if it is about to go."""
        if number in self._met:
            return True
        with self._lock:
            if number not in self._going:
                self._met.add(number)
            return number not in self._going

    def let_go(self, number: int) -> bool:
        """Nobody shall find it any more; False if somebody has."""
        with self._lock:
            if number not in self._met:
                self._going.add(number)
            return number not in self._met

    def keep(self, number: int) -> None:
        """It is stored, be it anew: it stays after all."""
        with self._lock:
            self._going.discard(number)
            self._met.add(number)

    def is_going(self, number: int) -> bool:
        """Whether nothing has come in between since `let_go`."""
        return number in self._going

    def note_gone(self, number: int) -> None:
        """It is not in the index any more; what comes in its place is new."""
        with self._lock:
            self._going.discard(number)
