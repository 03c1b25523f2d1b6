import pytest

from hubfs.fs.namespace import Namespace
from hubfs.fs.trees import Trees
from hubfs.store.catalog import Catalog
from hubfs.sync.syncer import Syncer
from tests.sync.conftest import TTL, catalog, hub, syncer

__all__ = ["catalog", "hub", "syncer"]


@pytest.fixture
def namespace(catalog: Catalog, syncer: Syncer) -> Namespace:
    return Namespace(catalog, syncer, Trees(catalog), TTL)
