from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hubfs.store.index import Index
from hubfs.store.journal import Journal
from tests.localhub import LocalHub

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A Hub without repos; `hf_test` opens everything."""
    with LocalHub(token="hf_test") as hub:
        yield hub


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than that of the cache."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder)
        if path.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("all of this machine is one file system")
        yield path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(tmp_path / "index")
    yield index
    index.close()


@pytest.fixture
def journal(index: Index) -> Journal:
    return Journal(index)
