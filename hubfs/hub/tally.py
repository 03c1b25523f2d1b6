"""Counting what the Hub answers: what kind of question, with what status, after how long."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from hubfs.counters import COUNTERS

_KINDS: Final = (
    ("/resolve/", "resolve"),
    ("/tree/", "tree"),
    ("/revision/", "info"),
    ("/refs", "refs"),
)


def kind_of(url: str) -> str:
    """What is asked for at an address; everything that is no part of the Hub is `storage`."""
    path = urlsplit(url).path
    if "/resolve/" not in path and "/api/" not in path:
        return "storage"
    return next((kind for mark, kind in _KINDS if mark in path), "info")


def count_answer(url: str, status: int, seconds: float) -> None:
    """The head of an answer came after so many seconds."""
    kind = kind_of(url)
    COUNTERS.add("hub_requests", of=kind, status=str(status))
    COUNTERS.note("hub_answer", seconds, of=kind)
