"""Programs that open files in the order in which they are numbered, as `cat *` does. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_WALKS: Final = 16
PROVEN_AFTER: Final = 4  # files in a row; of the few of a model a loader rarely reads so many
REACH: Final = 16  # files: several who share a walk (`xargs -P`) do not keep its order
FIRST_WINDOW: Final = 4  # files; it doubles with each
LARGEST_WINDOW: Final = 32


@dataclass(slots=True)
class _Walk:
    number: int
    position: int
    steps: int = 1
    named_until: int = 0

    @property
    def is_proven(self) -> bool:
        return self.steps >= PROVEN_AFTER

    def comes_to(self, number: int, ordinal: int) -> bool:
        return number == self.number and abs(ordinal - self.position) <= REACH

    def step_to(self, ordinal: int) -> None:
        if ordinal == self.position + 1:
            self.steps += 1
        elif ordinal != self.position and not self.is_proven:
            self.steps = 1
        self.position = max(self.position, ordinal) if self.is_proven else ordinal

    def name_next(self) -> range:
        if not self.is_proven:
            return range(0)
        window = min(LARGEST_WINDOW, FIRST_WINDOW << min(self.steps - PROVEN_AFTER, 8))
        start = max(self.named_until, self.position + 1)
        self.named_until = max(self.named_until, self.position + 1 + window)
        return range(start, self.named_until)


class Walks:
    """Follows the most recent of them, and says what comes next."""

    def __init__(self) -> None:
        self._walks: list[_Walk] = []  # most recent first

    def note(self, number: int, ordinal: int, *, is_cold: bool) -> range:
        """Somebody opened file `ordinal` of tree `number`.

        Returns the ordinals of what will be opened next and was not named before. It takes a file
        that is not here (`is_cold`) for a walk to begin: who has everything needs no help.
        """
        walk = next((each for each in self._walks if each.comes_to(number, ordinal)), None)
        if walk is not None:
            self._walks.remove(walk)
            walk.step_to(ordinal)
        elif is_cold:
            walk = _Walk(number, ordinal)
        else:
            return range(0)
        self._walks.insert(0, walk)
        del self._walks[MOST_WALKS:]
        return walk.name_next()
