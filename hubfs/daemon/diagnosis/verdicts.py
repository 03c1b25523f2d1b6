"""What a check says: one line on how something is, and what to do about it. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How bad it is: a note says what could be better, a problem what will not work."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of a diagnosis; `advice` is what to do."""

    check: str
    level: Level
    finding: str
    advice: str = ""


def fine(check: str, finding: str) -> Verdict:
    """All is well."""
    return Verdict(check, Level.OK, finding)


def noted(check: str, finding: str, advice: str = "") -> Verdict:
    """It works, but could be better."""
    return Verdict(check, Level.NOTE, finding, advice)


def wrong(check: str, finding: str, advice: str = "") -> Verdict:
    """Something will not work."""
    return Verdict(check, Level.PROBLEM, finding, advice)
