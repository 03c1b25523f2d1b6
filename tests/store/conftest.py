from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hubfs.store.index import Index
from hubfs.store.store import Store
from tests.store.disks import mount_tiny, unmount

# How long an example takes is the machine's business, not a failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(tmp_path / "index")
    yield index
    index.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cache")
    yield store
    store.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB, in memory."""
    point = tmp_path / "disk"
    point.mkdir()
    if trouble := mount_tiny(point):
        pytest.skip(f"mounting a tiny disk needs root: {trouble}")
    yield point
    unmount(point)
