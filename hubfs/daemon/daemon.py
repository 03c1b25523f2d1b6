"""One process, one cache, one mount: from settings to a served tree and back to nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from hubfs.config import Settings
from hubfs.daemon.registry import Running, registered
from hubfs.fetch.fetcher import Fetcher
from hubfs.fs.filesystem import Filesystem
from hubfs.fs.namespace import Namespace
from hubfs.fs.trees import Trees
from hubfs.fuse.mount import Mount, prepared
from hubfs.hub.api import HubApi
from hubfs.hub.content import ContentClient
from hubfs.hub.credentials import Credentials
from hubfs.jobs.queue import JobQueue
from hubfs.jobs.runners import runners_of
from hubfs.store.catalog import Catalog
from hubfs.store.journal import Journal
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer

log = logging.getLogger(__name__)

# A reader whose readahead fails asks once more for the page it needs: that shall be answered too.
GRACE = 0.1
LONGEST_STOP = 3.5
LONGEST_UNMOUNT = 0.5


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts below the mount, wired together."""

    store: Store
    api: HubApi
    client: ContentClient
    syncer: Syncer
    fetcher: Fetcher
    filesystem: Filesystem
    catalog: Catalog
    jobs: JobQueue


@contextlib.contextmanager
def built(settings: Settings) -> Iterator[Engine]:
    """The engine for `settings`; the cache is owned within and closed after.

    Raises:
        CacheInUse, IndexTooNew, StoreFull: the cache cannot be used.
    """
    store = Store(settings.cache_dir, str(settings.mountpoint))
    try:
        credentials = Credentials(settings.endpoint)
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
        trees = Trees(catalog)
        namespace = Namespace(catalog, syncer, trees, settings.metadata_ttl)
        filesystem = Filesystem(store, catalog, namespace, trees, fetcher)
        runners = runners_of(catalog, syncer, fetcher)
        jobs = JobQueue(Journal(store.index), runners, settings.endpoint)
        yield Engine(store, api, client, syncer, fetcher, filesystem, catalog, jobs)
        jobs.close()
        fetcher.close()
        client.close()
    finally:
        store.close()


def run(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Mount and serve until unmounted or told to stop by SIGTERM or SIGINT.

    Raises:
        MountFailed: the mountpoint cannot be used.
        CacheInUse, IndexTooNew, StoreFull: the cache cannot be used.
    """
    _raise_descriptor_limit()
    mountpoint = prepared(settings.mountpoint)
    running = Running(os.getpid(), str(mountpoint), str(settings.cache_dir), settings.endpoint)
    with built(settings) as engine:
        syncer, fetcher = engine.syncer, engine.fetcher
        mount = Mount(engine.filesystem, syncer.switched, fetcher.distrusted, settings, mountpoint)
        with mount.mounted(), registered(running):
            trio.run(_serve, engine, mount, on_ready)


async def _serve(engine: Engine, mount: Mount, on_ready: Callable[[], None]) -> None:
    async with engine.api, trio.open_nursery() as nursery:
        await nursery.start(engine.syncer.run)
        await nursery.start(engine.fetcher.run)
        await nursery.start(engine.jobs.run)
        nursery.start_soon(_stop_on_signal, engine, mount)
        nursery.start_soon(_serve_mount, engine, mount, on_ready, nursery.cancel_scope)


async def _serve_mount(
    engine: Engine, mount: Mount, on_ready: Callable[[], None], everything: trio.CancelScope
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(mount.serve)
        on_ready()
        log.info("ready")
    _stop_services(engine)
    everything.cancel()


async def _stop_on_signal(engine: Engine, mount: Mount) -> None:
    """Fail who waits, then answer no more: the kernel's requests must all have been answered."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("stopping on %s", signal.Signals(number).name)
            break
    _stop_services(engine)
    await trio.sleep(GRACE)
    mount.stop()
    await trio.sleep(LONGEST_STOP)
    log.error("requests of the kernel are stuck; leaving without them")
    with trio.move_on_after(LONGEST_UNMOUNT):
        await mount.detach()
    os._exit(1)


def _stop_services(engine: Engine) -> None:
    engine.syncer.stop()
    engine.jobs.stop()
    engine.fetcher.stop()


def _raise_descriptor_limit() -> None:
    """A reader of many blobs has many files open: use all that the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
