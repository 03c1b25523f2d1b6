"""Which runner does which kind of job. A new kind is one more line here."""

from __future__ import annotations

from collections.abc import Mapping

from hubfs.budget.evictor import Evictor
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.downloading import Downloading
from hubfs.jobs.evicting import Evicting
from hubfs.jobs.run import Runner
from hubfs.jobs.scanning import Scanning
from hubfs.jobs.states import JobKind
from hubfs.jobs.syncing import Syncing
from hubfs.jobs.verifying import Verifying
from hubfs.store.catalog import Catalog
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


def runners_of(
    store: Store, catalog: Catalog, syncer: Syncer, fetcher: Fetcher, evictor: Evictor
) -> Mapping[JobKind, Runner]:
    """The runners of one endpoint's jobs."""
    return {
        JobKind.SYNC: Syncing(catalog, syncer, fetcher),
        JobKind.DOWNLOAD: Downloading(store, catalog, syncer, fetcher, evictor),
        JobKind.EVICT: Evicting(store, catalog, syncer, evictor),
        JobKind.VERIFY: Verifying(store, catalog, syncer, fetcher),
        JobKind.SCAN: Scanning(store, catalog),
    }
