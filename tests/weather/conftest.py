"""A Hub to be unkind to, and disks to be filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio.testing
from hypothesis import settings

from tests.mount.conftest import hub, mount
from tests.store.disks import unmount
from tests.weather.memory import mount_in_memory

__all__ = ["hub", "mount"]

# How long an example takes is the machine's business, not a failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

Disk = Callable[[int], Path]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hurry(mock_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Time for the event loop goes ten times faster: pauses are short, sockets as they are."""
    mock_clock.rate = 10
    return mock_clock


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Make a file system of so many MiB, in memory, of this user's."""
    point = tmp_path / "disk"

    def made(megabytes: int) -> Path:
        point.mkdir()
        trouble = mount_in_memory(point, megabytes)
        if trouble:
            pytest.skip(f"mounting is not allowed here: {trouble}")
        return point

    yield made
    if point.is_mount():
        unmount(point)
