"""One process, one cache, one mount: from settings to a served tree and back to nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import trio

from hubfs.config import Settings
from hubfs.control.roles import Role
from hubfs.daemon.controlling import Controlling, opened
from hubfs.daemon.engine import Engine, built, services
from hubfs.daemon.notify import Notifier
from hubfs.daemon.registry import Running, registered
from hubfs.daemon.reloading import Reloading
from hubfs.errors import CacheInUse, HubfsError
from hubfs.fuse.mount import Mount
from hubfs.fuse.mountpoints import prepared
from hubfs.store.lock import find_holder, find_owner, is_held

log = logging.getLogger(__name__)

# A reader whose readahead fails asks once more for the page it needs: that shall be answered too.
GRACE = 0.1
LONGEST_STOP = 3.5
LONGEST_UNMOUNT = 0.5
LONGEST_COMMAND = 5.0  # that is waited for
LONGEST_GIVING_WAY = 15.0  # those who are to be told of jobs may be slow to listen
_STOPS = (signal.SIGTERM, signal.SIGINT)


class Starter(Protocol):
    """Who started this process, and may wait until the mount is there."""

    def check_awaited(self) -> None:
        """Raises: HubfsError: they wait no more, and nobody wants the mount."""

    def announce(self) -> None:
        """Tell them that it is there. Raises: as `check_awaited`."""


def run(settings: Settings, reloading: Reloading, starter: Starter) -> None:
    """Mount and serve until unmounted or told to stop by SIGTERM or SIGINT.

    Raises:
        MountFailed, UnfitMountpoint: the mountpoint cannot be used.
        CacheInUse, IndexTooNew, StoreFull: the cache cannot be used.
        HubfsError: whoever started it has gone before it was ready.
    """
    _raise_descriptor_limit()
    assert settings.mountpoint is not None  # noqa: S101 - whoever mounts has named it
    mountpoint = prepared(settings.mountpoint)
    running = Running(os.getpid(), str(mountpoint), str(settings.cache_dir))
    with _built_soon(settings, starter) as engine:
        prepared(mountpoint)  # another may have been quicker, while a command had the cache
        syncer, fetcher = engine.syncer, engine.fetcher
        mount = Mount(engine.filesystem, syncer.switched, fetcher.distrusted, settings, mountpoint)
        opening = opened(settings, engine, Role.MOUNT, lambda: mount.mode)
        with opening as control, mount.mounted(), registered(running):
            try:
                notifier = Notifier(f"serving {settings.endpoint} at {mountpoint}")
                served = Served(engine, mount, control, notifier)
                trio.run(_serve, served, reloading, starter.announce)
            except ExceptionGroup as group:
                raise _expected(group) from None


@contextlib.contextmanager
def _built_soon(settings: Settings, starter: Starter) -> Iterator[Engine]:
    """The engine, as `built`; a command that has the cache, as commands do, may end meanwhile."""
    deadline = time.monotonic() + LONGEST_COMMAND
    with contextlib.ExitStack() as stack:
        while True:
            try:
                engine = stack.enter_context(built(settings, Role.MOUNT))
            except CacheInUse:
                owner = find_owner(settings.cache_dir)
                if (owner and owner.mountpoint) or time.monotonic() > deadline:
                    raise
                starter.check_awaited()
                time.sleep(0.1)
            else:
                break
        yield engine


def take_over_jobs(settings: Settings) -> bool:
    """Have the jobs in the background go on in the mount of `settings`, which is to be begun.

    Returns whether their process has been told to end: if there will be no mount after all, they
    need another.
    """
    cache = settings.cache_dir
    owner = find_holder(cache)
    if owner is None or owner.gives_way_to != settings.endpoint or settings.offline:
        return False
    try:
        os.kill(owner.pid, signal.SIGTERM)
    except OSError:  # it has ended by itself, or is another user's
        return False
    log.info("going on with the jobs of process %d", owner.pid)
    deadline = time.monotonic() + LONGEST_GIVING_WAY
    while is_held(cache, owner.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return True


def _expected(group: ExceptionGroup[Exception]) -> Exception:
    """The failure that ended the services if only expected ones did; else the whole group."""
    found: Exception | None
    found, others = group.split(HubfsError)
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return group if others or not found else found


@dataclass(frozen=True, slots=True)
class Served:
    """All that runs."""

    engine: Engine
    mount: Mount
    control: Controlling
    notifier: Notifier


async def _serve(served: Served, reloading: Reloading, on_ready: Callable[[], None]) -> None:
    async with services(served.engine) as nursery:
        await nursery.start(served.control.run)
        await nursery.start(reloading.run, served.engine.take, served.notifier)
        await nursery.start(served.engine.scrubber.run)
        nursery.start_soon(_stop_on_signal, served)
        nursery.start_soon(_serve_mount, served, on_ready, nursery.cancel_scope)


async def _serve_mount(
    served: Served, on_ready: Callable[[], None], everything: trio.CancelScope
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(served.mount.serve, served.engine.stop)
        on_ready()
        served.notifier.ready()
        log.info("ready")
    served.notifier.stopping()
    served.engine.stop()
    everything.cancel()


async def _stop_on_signal(served: Served) -> None:
    """Fail who waits, then answer no more: the kernel's requests must all have been answered."""
    for each in _STOPS:  # what holds once the first has come: a second must not kill in the midst
        signal.signal(each, signal.SIG_IGN)
    with trio.open_signal_receiver(*_STOPS) as signals:
        async for number in signals:
            log.info("stopping on %s", signal.Signals(number).name)
            break
    served.notifier.stopping()
    served.engine.stop()
    await trio.sleep(GRACE)
    served.mount.stop()
    await trio.sleep(LONGEST_STOP)
    log.error("requests of the kernel are stuck; leaving without them")
    with trio.move_on_after(LONGEST_UNMOUNT):
        await served.mount.detach()
    os._exit(1)


def _raise_descriptor_limit() -> None:
    """A reader of many blobs has many files open: use all that the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
