"""The engine: all parts below the mount, wired together, whoever runs them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial as bind

import trio

from hubfs.budget.evictor import Evictor
from hubfs.config import Settings
from hubfs.control.roles import Role
from hubfs.fetch.fetcher import Fetcher
from hubfs.fs.annex import Annex
from hubfs.fs.filesystem import Filesystem
from hubfs.fs.hubcache import HubCache
from hubfs.fs.live import Live
from hubfs.fs.namespace import Namespace
from hubfs.fs.trees import Trees
from hubfs.hub.api import HubApi
from hubfs.hub.content import ContentClient
from hubfs.hub.credentials import Credentials
from hubfs.jobs.queue import JobQueue, Resumption
from hubfs.jobs.runners import runners_of
from hubfs.jobs.scrubbing import Scrubber
from hubfs.store.catalog import Catalog
from hubfs.store.journal import Journal
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts below the mount, wired together."""

    store: Store
    api: HubApi
    client: ContentClient
    syncer: Syncer
    fetcher: Fetcher
    evictor: Evictor
    filesystem: Filesystem
    live: Live
    catalog: Catalog
    jobs: JobQueue
    credentials: Credentials
    scrubber: Scrubber
    resumption: Resumption
    ageing: tuple[Syncer, Namespace, HubCache]
    """Those for whom what is known of a branch gets old."""

    def take(self, settings: Settings) -> None:
        """Go on with those of `settings` that a running engine can take."""
        self.fetcher.reconfigure(settings.fetch)
        self.evictor.reconfigure(settings.cache)
        self.scrubber.reconfigure(settings.cache.scrub)
        self.credentials.use_file(settings.token_file)
        for each in self.ageing:
            each.ttl = settings.metadata_ttl

    def stop(self) -> None:
        """Fail everyone who waits, and start nothing new."""
        self.syncer.stop()
        self.jobs.stop()
        self.fetcher.stop()


@contextlib.contextmanager
def built(settings: Settings, role: Role) -> Iterator[Engine]:
    """The engine for `settings`; the cache is owned within and closed after.

    Raises:
        CacheInUse, IndexTooNew, StoreFull: the cache cannot be used.
    """
    place, gives_way_to = str(settings.mountpoint or ""), settings.endpoint * (role is Role.JOBS)
    store = Store(settings.cache_dir, place, gives_way_to=gives_way_to)
    try:
        credentials = Credentials(settings.endpoint, file=settings.token_file)
        fetching, offline = settings.fetch, settings.offline
        idle = fetching.idle_timeout
        api = HubApi(settings.endpoint, credentials, idle_timeout=idle, offline=offline)
        client = ContentClient(
            settings.endpoint,
            credentials,
            api.limits,
            api.breaker,
            idle_timeout=idle,
            offline=offline,
        )
        catalog = store.catalog(settings.endpoint)
        syncer = Syncer(catalog, api, settings.metadata_ttl)
        fetcher = Fetcher(store, client, fetching)
        evictor = Evictor(store, fetcher, settings.cache)
        trees = Trees(catalog)
        namespace = Namespace(catalog, syncer, trees, settings.metadata_ttl)
        hub_cache = HubCache(catalog, syncer, trees, settings.metadata_ttl)
        live = Live()
        annexes: list[Annex] = [hub_cache, live]
        filesystem = Filesystem(store, catalog, namespace, trees, fetcher, annexes=annexes)
        runners = runners_of(store, catalog, syncer, fetcher, evictor)
        jobs = JobQueue(Journal(store.index), runners, settings.endpoint)
        yield Engine(
            store,
            api,
            client,
            syncer,
            fetcher,
            evictor,
            filesystem,
            live,
            catalog,
            jobs,
            credentials,
            Scrubber(store, fetcher, settings.cache.scrub),
            _resumption_of(role, offline=offline),
            ageing=(syncer, namespace, hub_cache),
        )
        jobs.close()
        fetcher.close()
        evictor.close()
        client.close()
    finally:
        store.close()


def _resumption_of(role: Role, *, offline: bool) -> Resumption:
    """What an engine goes on with by itself. Without the Hub it would only fail."""
    if offline:
        return Resumption.NOTHING
    resumed = {Role.MOUNT: Resumption.ALL, Role.JOBS: Resumption.BACKGROUND}
    return resumed.get(role, Resumption.NOTHING)


@contextlib.asynccontextmanager
async def services(engine: Engine) -> AsyncIterator[trio.Nursery]:
    """The services of `engine`, at work within; the nursery is for what stands on them."""
    async with engine.api, trio.open_nursery() as nursery:
        await nursery.start(engine.syncer.run)
        await nursery.start(engine.fetcher.run)
        await nursery.start(engine.evictor.run)
        await nursery.start(bind(engine.jobs.run, resumes=engine.resumption))
        yield nursery
