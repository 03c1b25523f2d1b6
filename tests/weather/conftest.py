"""A Hub to be unkind to, and disks to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio.testing
from hypothesis import settings

from tests.mount.conftest import hub, mount

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
    """Make a file system of so many MiB, in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    with ExitStack() as stack:
        yield lambda megabytes: stack.enter_context(_mounted_disk(tmp_path / "disk", megabytes))


@contextmanager
def _mounted_disk(point: Path, megabytes: int) -> Iterator[Path]:
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "hubfs-test", str(point)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr}")
    try:
        yield point
    finally:
        # Lazily: a failed test may have left a file open.
        subprocess.run(["umount", "--lazy", str(point)], check=True)
