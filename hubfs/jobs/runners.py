"""Which runner does which kind of job. A new kind is one more line here."""

from __future__ import annotations

from collections.abc import Mapping

from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.downloading import Downloading
from hubfs.jobs.run import Runner
from hubfs.jobs.scanning import Scanning
from hubfs.jobs.states import JobKind
from hubfs.jobs.syncing import Syncing
from hubfs.jobs.verifying import Verifying
from hubfs.store.catalog import Catalog
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


def runners_of(
    store: Store, catalog: Catalog, syncer: Syncer, fetcher: Fetcher
) -> Mapping[JobKind, Runner]:
    """The runners of one endpoint's jobs."""
    return {
        JobKind.SYNC: Syncing(catalog, syncer, fetcher),
        JobKind.DOWNLOAD: Downloading(catalog, syncer, fetcher),
        JobKind.VERIFY: Verifying(store, catalog, syncer, fetcher),
        JobKind.SCAN: Scanning(store, catalog),
    }
