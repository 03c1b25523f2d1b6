from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio.testing
from hypothesis import settings

from hubfs.store.store import Store
from tests.localhub import LocalHub

# How long an example takes is the machine's business, not a failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A Hub without repos; `hf_test` opens everything."""
    with LocalHub(token="hf_test") as hub:
        yield hub


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def clock(mock_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """The loop's clock: it goes as all clocks do, and can be put forward."""
    mock_clock.rate = 1
    return mock_clock
