from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from hubfs.store.catalog import Catalog
from hubfs.store.index import Index
from hubfs.sync.syncer import Syncer
from tests.sync.fakehub import FakeHub

TTL = 60.0


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    index = Index(tmp_path / "index")
    yield Catalog(index, "https://hub.test")
    index.close()


@pytest.fixture
async def syncer(catalog: Catalog, hub: FakeHub, nursery: trio.Nursery) -> AsyncIterator[Syncer]:
    syncer = Syncer(catalog, hub, TTL)
    await nursery.start(syncer.run)
    yield syncer
    syncer.stop()
