"""What a benchmark states: two things run in turn, their ratio, and whether it is enough. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class NotVerified(Exception):
    """Other bytes or names came than the source has: there is nothing to report."""


class CannotRun(Exception):
    """Something that the row needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Run:
    """The figure of one run, and what proves that it read the right thing."""

    value: float
    proof: str


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two things compared."""

    label: str
    values: tuple[float, ...]
    proofs: tuple[str, ...] = ()

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """How far its runs are apart, as a part of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


def side(label: str, runs: Iterable[Run]) -> Side:
    """What the runs of one thing gave.

    Raises:
        NotVerified: one of them has no proof.
    """
    found = list(runs)
    if not found or not all(run.proof for run in found):
        raise NotVerified(f"{label}: nobody looked at what was read")
    return Side(label, tuple(run.value for run in found), tuple(run.proof for run in found))


def bound(label: str, value: float) -> Side:
    """A figure that is given, not measured: a line's speed, a promised size."""
    return Side(label, (value,))


@dataclass(frozen=True, slots=True)
class Target:
    """What the ratio shall be."""

    value: float
    is_ceiling: bool

    def is_met(self, ratio: float) -> bool:
        """Whether `ratio` is good enough."""
        return ratio <= self.value if self.is_ceiling else ratio >= self.value

    def __str__(self) -> str:
        return f"{'<=' if self.is_ceiling else '>='} {self.value:.2f}"


def at_least(value: float) -> Target:
    """More is better."""
    return Target(value, is_ceiling=False)


def at_most(value: float) -> Target:
    """Less is better."""
    return Target(value, is_ceiling=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `unit` is of both sides; `details` are for programs."""

    section: str
    name: str
    unit: str
    ours: Side
    reference: Side
    target: Target | None = None
    note: str = ""
    details: dict[str, object] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours to the reference, median to median."""
        return self.ours.median / self.reference.median

    @property
    def spread(self) -> float:
        """How far the runs of the less steady side are apart."""
        return max(self.ours.spread, self.reference.spread)

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.is_met(self.ratio)


def interleaved(runs: int, *ways: Callable[[], T]) -> list[list[T]]:
    """Run each way in turn, and that `runs` times: a noisy minute meets them all."""
    rounds = [[way() for way in ways] for _ in range(runs)]
    return [list(each) for each in zip(*rounds, strict=True)]
