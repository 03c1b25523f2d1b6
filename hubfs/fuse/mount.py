"""The mount: made, tuned, served, taken down."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pyfuse3
import trio

from hubfs.config import Passthrough, Settings
from hubfs.errors import MountFailed
from hubfs.fs.filesystem import Filesystem
from hubfs.fuse import device, kernel
from hubfs.fuse.modes import Mode, Standing, mode_of
from hubfs.fuse.mountpoints import SUBTYPE, unmount
from hubfs.fuse.operations import Operations
from hubfs.fuse.relay import Relay
from hubfs.fuse.room import Room
from hubfs.fuse.stats import permissions_of
from hubfs.sync.syncer import Key

log = logging.getLogger(__name__)

# One task serves one request from start to end, and readers of cold files wait inside theirs.
MOST_REQUESTS = 4096
IDLE_TASKS = 16


class Mount:
    """A tree to be mounted. `serve`, within `mounted`, answers the kernel until `stop`."""

    def __init__(
        self,
        filesystem: Filesystem,
        switched: trio.MemoryReceiveChannel[Key],
        distrusted: trio.MemoryReceiveChannel[frozenset[int]],
        settings: Settings,
        mountpoint: Path,
    ) -> None:
        """Show `filesystem` at `mountpoint`.

        The kernel is told to forget the names that `switched` brings, and the
        pages of the inodes that `distrusted` brings.
        """
        self.mountpoint = mountpoint
        self._filesystem = filesystem
        self._source = settings.endpoint
        self._switched = switched
        self._distrusted = distrusted
        self._allow_other = settings.allow_other
        self._passthrough = settings.passthrough
        self._cache_dir = settings.cache_dir
        self._refusal = ""
        self._permissions = permissions_of(settings.ownership)
        self._initialized = trio.Event()
        self._is_privileged = device.can_mount()
        self._relay: Relay

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mounted within, unmounted after, whatever happens.

        Raises:
            MountFailed: the kernel or fusermount3 refuses.
        """
        wants_passthrough = self._passthrough is not Passthrough.OFF and self._is_privileged
        if self._passthrough is Passthrough.ON and not wants_passthrough:
            hint = "run as root, or leave --passthrough at auto"
            raise MountFailed("passthrough needs the right to mount (CAP_SYS_ADMIN)", hint=hint)
        opened = device.mount(
            self.mountpoint, self._source, subtype=SUBTYPE, allow_other=self._allow_other
        )
        ours = kernel.find_mount(self.mountpoint)
        relay = Relay(opened, self._filesystem, self._permissions, passthrough=wants_passthrough)
        self._relay = relay
        try:
            self._init_library()
            yield
        finally:
            # It may have been taken away before, and another be in its place by now.
            if kernel.find_mount(self.mountpoint) == ours:
                device.detach(self.mountpoint)
            pyfuse3.close(unmount=False)
            relay.close()

    def _init_library(self) -> None:
        relay, on_init = self._relay, self._initialized.set
        room = Room(relay.endpoint)
        operations = Operations(self._filesystem, on_init, self._permissions, relay.parcels, room)
        pyfuse3.init(operations, f"/dev/fd/{relay.endpoint}", {"default_permissions"})

    @property
    def mode(self) -> Mode:
        """How files are read, and why so."""
        has_kernel = self._relay.has_passthrough
        return mode_of(Standing(self._passthrough, self._is_privileged, has_kernel, self._refusal))

    async def serve(
        self,
        on_unmounted: Callable[[], None],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer the kernel until it is unmounted or `stop` is called; started once it is ready.

        `on_unmounted` is to fail who still waits: nobody is there any more who would be told.
        """
        async with trio.open_nursery() as nursery:
            self._relay.start(_terminator(on_unmounted))
            nursery.start_soon(self._drop_switched)
            nursery.start_soon(self._drop_distrusted)
            nursery.start_soon(self._tune_when_initialized, task_status)
            await pyfuse3.main(min_tasks=IDLE_TASKS, max_tasks=MOST_REQUESTS)
            nursery.cancel_scope.cancel()

    async def _tune_when_initialized(self, task_status: trio.TaskStatus[None]) -> None:
        # INIT's answer resets the readahead: tune after it.
        await self._initialized.wait()
        # libfuse has answered; now wait until the kernel has the answer.
        await trio.to_thread.run_sync(self._relay.is_initialized.wait, abandon_on_cancel=True)
        found = kernel.find_mount(self.mountpoint)
        if found is not None:
            kernel.tune(found.device)
        self._try_passthrough()
        if self._passthrough is Passthrough.ON and self.mode.way != "passthrough":
            hint = "leave --passthrough at auto; see also: hubfs doctor"
            raise MountFailed(f"no passthrough: {self.mode.reason}", hint=hint)
        task_status.started()

    def _try_passthrough(self) -> None:
        """Learn now, not at the first open, whether the kernel takes files of the cache."""
        files = (self._cache_dir / name for name in ("lock", "index/data.mdb"))
        file = next((each for each in files if each.is_file()), None)
        if not self._relay.has_passthrough or file is None:
            return
        with file.open("rb") as opened:
            self._refusal = self._relay.backings.attempt(opened.fileno())

    def stop(self) -> None:
        """Answer no more requests. Those under way are waited for: fail them first."""
        pyfuse3.terminate()

    async def detach(self) -> None:
        """Take the mount out of the tree though requests are unanswered; a dead one is no use."""
        with contextlib.suppress(MountFailed):
            take_away = functools.partial(unmount, self.mountpoint, lazy=True)
            await trio.to_thread.run_sync(take_away, abandon_on_cancel=True)

    async def _drop_switched(self) -> None:
        """Make the kernel ask again for names that came to mean another commit.

        The call blocks while a lookup holds the same directory, so it has a
        thread of its own: from this one it would deadlock.
        """
        async for key in self._switched:
            entry = self._filesystem.entry_of(key)
            if entry is not None:
                await trio.to_thread.run_sync(_drop_entry, *entry)

    async def _drop_distrusted(self) -> None:
        async for inodes in self._distrusted:
            for inode in inodes:
                await trio.to_thread.run_sync(_drop_pages, inode)


def _drop_pages(inode: int) -> None:
    with contextlib.suppress(OSError):  # the kernel does not know the inode
        pyfuse3.invalidate_inode(inode)


def _terminator(on_unmounted: Callable[[], None]) -> Callable[[], None]:
    """What ends pyfuse3's loop from another thread, if it still runs."""
    token = trio.lowlevel.current_trio_token()

    def end() -> None:
        on_unmounted()
        pyfuse3.terminate()

    def terminate() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(end)

    return terminate


def _drop_entry(parent: int, name: bytes) -> None:
    with contextlib.suppress(OSError):  # the kernel does not know the name: as good as dropped
        pyfuse3.invalidate_entry(parent, name)
