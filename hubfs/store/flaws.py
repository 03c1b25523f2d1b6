"""What a look at the disk beside the index finds, and what each finding means. Pure.

A blob is right when it is there, holds what its name says, is recorded with its
size, and may not be written by accident. Nothing here reads or changes anything.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

MODE: Final = 0o444


class Flaw(enum.StrEnum):
    """What can be wrong in a cache."""

    MISSING = "missing"  # a record without its file
    UNREADABLE = "unreadable"  # the disk does not give it
    CUT = "cut"  # neither of the size that is recorded nor what its name says
    CORRUPT = "corrupt"  # not what its name says
    UNRECORDED = "unrecorded"  # a right file that the index does not know
    MISRECORDED = "misrecorded"  # a right file of another size than the index says
    MODE = "mode"  # a right file with other permissions
    STRANGER = "stranger"  # among the blobs, and none by its name
    STRAY_PARTIAL = "stray partial"  # a partial's file without its record
    LOST_PARTIAL = "lost partial"  # a partial's record without its file
    DANGLING = "dangling"  # a git id that leads to no blob


# The bytes are not here any more: they come again when they are read, or at once with a repair.
LOSSES: Final = frozenset({Flaw.MISSING, Flaw.UNREADABLE, Flaw.CUT, Flaw.CORRUPT})


class Present(NamedTuple):
    """A blob's file, as the file system describes it."""

    size: int
    mode: int = MODE  # permissions
    links: int = 1
    inode: int = 0


class Case(NamedTuple):
    """What index and disk say of one blob, either of which may be nothing."""

    sha256: str
    recorded: int | None
    present: Present | None

    @property
    def size(self) -> int:
        """The bytes to be read to know more."""
        return self.present.size if self.present else 0


def cases_of(recorded: Mapping[str, int], present: Mapping[str, Present]) -> list[Case]:
    """All blobs that either side knows, in the order of their hashes."""
    names = sorted(recorded.keys() | present.keys())
    return [Case(name, recorded.get(name), present.get(name)) for name in names]


def flaws_of(case: Case, sha256: str | None) -> list[Flaw]:
    """What is wrong with a blob whose file has that hash; None: it cannot be read."""
    if case.present is None:
        return [Flaw.MISSING]
    if sha256 is None:
        return [Flaw.UNREADABLE]
    is_of_size = case.recorded in {None, case.present.size}
    if sha256 != case.sha256:
        return [Flaw.CORRUPT if is_of_size else Flaw.CUT]
    return [*_flaws_of_record(case, is_of_size=is_of_size), *_flaws_of_mode(case.present)]


def _flaws_of_record(case: Case, *, is_of_size: bool) -> Iterator[Flaw]:
    if case.recorded is None:
        yield Flaw.UNRECORDED
    elif not is_of_size:
        yield Flaw.MISRECORDED


def _flaws_of_mode(present: Present) -> Iterator[Flaw]:
    # The mode of a file with other names is theirs too, as long as it can be read.
    if present.mode != MODE and (present.links == 1 or not present.mode & 0o400):
        yield Flaw.MODE


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was wrong, and what became of it."""

    flaw: Flaw
    name: str
    remedy: str
    size: int = 0
    is_left: bool = False
    detail: str = ""
    aside: str = ""  # where what was bad is now
    keys: tuple[str, ...] = ()  # of the contents that are not here any more

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        where = f": it is {self.aside} now" if self.aside else ""
        return f"{self.flaw} {self.name}{detail}, {self.remedy}{where}"


class Watermark:
    """How far work in order is, though several do it at once and end in any order."""

    def __init__(self, reached: str = "") -> None:
        self.reached = reached
        self._begun: dict[str, bool] = {}  # in order; whether it has ended

    def begin(self, key: str) -> None:
        """Work on `key`, which follows all that were begun before, has begun."""
        self._begun[key] = False

    def end(self, key: str) -> None:
        """It has ended. `reached` is the last key such that all up to it have."""
        self._begun[key] = True
        while self._begun:
            first = next(iter(self._begun))
            if not self._begun[first]:
                return
            self.reached = first
            del self._begun[first]


def split_partials(
    files: Collection[str], recorded: Collection[str], in_use: Collection[str]
) -> tuple[list[str], list[str]]:
    """(files without a record, records without a file), but for those that are in use."""
    strays = set(files) - set(recorded) - set(in_use)
    lost = set(recorded) - set(files) - set(in_use)
    return sorted(strays), sorted(lost)
