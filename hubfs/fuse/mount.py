"""The mount: made, tuned, served, taken down."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyfuse3
import trio

from hubfs.errors import MountFailed
from hubfs.fs.filesystem import Filesystem
from hubfs.fuse import kernel
from hubfs.fuse.operations import Operations
from hubfs.sync.syncer import Key

log = logging.getLogger(__name__)

TYPE = "fuse.hubfs"
# One task serves one request from start to end, and readers of cold files wait inside theirs.
MOST_REQUESTS = 4096
IDLE_TASKS = 16


class Mount:
    """A tree to be mounted. `serve`, within `mounted`, answers the kernel until `stop`."""

    def __init__(
        self,
        mountpoint: Path,
        endpoint: str,
        filesystem: Filesystem,
        switched: trio.MemoryReceiveChannel[Key],
        *,
        allow_other: bool,
    ) -> None:
        """Show `filesystem` at `mountpoint`, and drop names as `switched` tells of them."""
        self.mountpoint = mountpoint
        self._filesystem = filesystem
        self._operations = Operations(filesystem)
        self._endpoint = endpoint
        self._switched = switched
        self._allow_other = allow_other

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mounted within, unmounted after, whatever happens.

        Raises:
            MountFailed: the kernel or fusermount3 refuses.
        """
        try:
            pyfuse3.init(self._operations, str(self.mountpoint), self._options())
        except RuntimeError as error:
            raise MountFailed(f"cannot mount at {self.mountpoint}", hint=self._hint()) from error
        try:
            yield
        finally:
            pyfuse3.close(unmount=True)

    def _options(self) -> set[str]:
        source = self._endpoint.replace("\\", "\\\\").replace(",", "\\,")
        options = {f"fsname={source}", "subtype=hubfs", "default_permissions", "ro", "noatime"}
        return options | ({"allow_other"} if self._allow_other else set())

    def _hint(self) -> str:
        if not Path("/dev/fuse").exists():
            return "there is no /dev/fuse: load the kernel's fuse module (modprobe fuse)"
        if self._allow_other and os.getuid():
            return "--allow-other needs the line user_allow_other in /etc/fuse.conf"
        return "is fuse3 installed, and is the directory yours?"

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer the kernel until it is unmounted or `stop` is called; started once it is ready."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._drop_switched)
            nursery.start_soon(self._tune_when_initialized, task_status)
            await pyfuse3.main(min_tasks=IDLE_TASKS, max_tasks=MOST_REQUESTS)
            nursery.cancel_scope.cancel()

    async def _tune_when_initialized(self, task_status: trio.TaskStatus[None]) -> None:
        # INIT's answer resets the readahead: tune after it.
        await self._operations.initialized.wait()
        found = kernel.find_mount(self.mountpoint)
        if found is not None:
            kernel.tune(found.device)
        task_status.started()

    def stop(self) -> None:
        """Answer no more requests. Those under way are waited for: fail them first."""
        pyfuse3.terminate()

    async def _drop_switched(self) -> None:
        """Make the kernel ask again for names that came to mean another commit.

        The call blocks while a lookup holds the same directory, so it has a
        thread of its own: from this one it would deadlock.
        """
        async for key in self._switched:
            entry = self._filesystem.entry_of(key)
            if entry is not None:
                await trio.to_thread.run_sync(_drop_entry, *entry)


def _drop_entry(parent: int, name: bytes) -> None:
    with contextlib.suppress(OSError):  # the kernel does not know the name: as good as dropped
        pyfuse3.invalidate_entry(parent, name)


def prepared(mountpoint: Path) -> Path:
    """`mountpoint`, absolute and ready to be mounted on; a dead mount left there is taken away.

    Raises:
        MountFailed: it is no directory, or something lives there.
    """
    path = Path(os.path.abspath(mountpoint))  # noqa: PTH100 - resolve() would touch a dead mount
    found = kernel.find_mount(path)
    if found is not None and found.type == TYPE:
        if _is_alive(path):
            raise MountFailed(
                f"{path} is mounted already", hint=f"unmount it first: hubfs umount {path}"
            )
        log.warning("taking away the dead mount at %s", path)
        unmount(path, lazy=True)
    if not path.is_dir():
        raise MountFailed(f"{path} is not a directory", hint=f"make it first: mkdir {path}")
    return path


def _is_alive(path: Path) -> bool:
    """Whether a daemon answers for the mount at `path`. A child asks, since it might never."""
    try:
        return (
            subprocess.run(
                ["stat", "--", str(path)], capture_output=True, timeout=5, check=False
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return True


def unmount(path: Path, *, lazy: bool = False) -> None:
    """Take the mount at `path` away; `lazy` does it under programs that still use it.

    Raises:
        MountFailed: it is busy, or not ours to unmount.
    """
    command = ["umount"] if os.getuid() == 0 else ["fusermount3", "-u"]
    flags = [] if not lazy else ["-l"] if os.getuid() == 0 else ["-z"]
    done = subprocess.run(
        [*command, *flags, "--", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition(": ")[2].rstrip(".") or "it failed"
        hint = f"see who uses it with: fuser -vm {path}; or take it away anyway with --lazy"
        raise MountFailed(f"cannot unmount {path}: {reason}", hint=hint)


def force_unmount(path: Path) -> None:
    """Take away a mount whose daemon does not answer: end its connection, then unmount lazily.

    Raises:
        MountFailed: it is not ours to unmount.
    """
    found = kernel.find_mount(path)
    if found is not None:
        kernel.abort(found.device)
    unmount(path, lazy=True)
