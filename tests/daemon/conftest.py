"""Loggers are the process's: tests leave them as they were."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The level of hubfs's own logger."""
    logger = logging.getLogger("hubfs")
    before = logger.level
    yield
    logger.setLevel(before)
