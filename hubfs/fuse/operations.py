"""Kernel requests as calls on the tree.

pyfuse3 ends the whole mount on any exception but its own: every handler goes
through one guard. A handler that waits holds a directory or a page in the
kernel, never this event loop.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3

from hubfs.counters import COUNTERS
from hubfs.errors import ContentMismatch, FetchFailed, HubError, HubfsError, StoreError
from hubfs.fs.attributes import Attributes, NodeType
from hubfs.fs.filesystem import Filesystem
from hubfs.fuse.errnos import errno_of
from hubfs.fuse.parcels import Parcels
from hubfs.fuse.room import Room
from hubfs.fuse.stats import IO_SIZE, Permissions, blocks_of, nanoseconds_of

log = logging.getLogger(__name__)

H = TypeVar("H", bound="Operations")
P = ParamSpec("P")
R = TypeVar("R")

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WORTH_A_LINE = (HubError, FetchFailed, ContentMismatch, StoreError)


def guarded(
    handler: Callable[Concatenate[H, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[H, P], Coroutine[Any, Any, R]]:
    """Answer every failure with an errno: an expected one in a line, a bug with its traceback.

    pyfuse3 sends what a handler returns or raises without waiting for anything in between, so
    it has the room that is waited for here.
    """

    @functools.wraps(handler)
    async def guard(self: H, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await handler(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except HubfsError as error:
            if isinstance(error, _WORTH_A_LINE):
                COUNTERS.add("errors", of=handler.__name__, kind=type(error).__name__)
                log.warning("%s fails: %s", handler.__name__, error)
            raise pyfuse3.FUSEError(errno_of(error)) from None
        except Exception:
            log.exception("a bug in %s", handler.__name__)
            raise pyfuse3.FUSEError(errno.EIO) from None
        finally:
            await self.room.wait()

    return guard


class Operations(pyfuse3.Operations):
    """The handlers that pyfuse3 calls. What may not come, or changes things, the relay refuses."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(
        self,
        filesystem: Filesystem,
        on_init: Callable[[], None],
        permissions: Permissions,
        parcels: Parcels,
        room: Room,
    ) -> None:
        """Serve `filesystem`; READs are answered by where in `parcels` their bytes are."""
        super().__init__()
        self.room = room
        self._fs = filesystem
        self._parcels = parcels
        self._permissions = permissions
        self._on_init = on_init

    def init(self) -> None:
        """INIT: its answer is on its way to the kernel before any other task runs."""
        self._on_init()

    # --- names and attributes ----------------------------------------------------------

    @guarded
    async def lookup(self, parent: int, name: bytes, _: object) -> pyfuse3.EntryAttributes:
        """LOOKUP; inode 0 lets the kernel remember the miss."""
        return self._entry(await self._fs.lookup(parent, name))

    @guarded
    async def getattr(self, inode: int, _: object) -> pyfuse3.EntryAttributes:
        """GETATTR."""
        return self._entry(self._fs.attributes(inode))

    @guarded
    async def readlink(self, inode: int, _: object) -> bytes:
        """READLINK."""
        return self._fs.read_link(inode)

    @guarded
    async def access(self, inode: int, mode: int, _: object) -> bool:
        """ACCESS, where the kernel does not decide it by itself."""
        del inode
        return not mode & os.W_OK

    # --- directories -------------------------------------------------------------------

    @guarded
    async def opendir(self, inode: int, _: object) -> int:
        """OPENDIR."""
        return await self._fs.open_directory(inode)

    @guarded
    async def readdir(self, handle: int, start: int, token: pyfuse3.ReaddirToken) -> None:
        """READDIRPLUS: names with attributes, so that `ls -l` needs no more requests."""
        entry, reply = pyfuse3.EntryAttributes(), pyfuse3.readdir_reply
        kind: NodeType | None = None
        others: tuple[float, ...] = ()
        for name, attributes, following in self._fs.read_directory(handle, start):
            # Most lines of a directory differ in little from the one before.
            if attributes[1] is kind and attributes[3:] == others:
                self._fill_own(entry, attributes)
            else:
                kind, others = attributes[1], attributes[3:]
                self._fill(entry, attributes)
            if not reply(token, name, entry, following):
                return

    @guarded
    async def releasedir(self, handle: int) -> None:
        """RELEASEDIR."""
        self._fs.close_directory(handle)

    # --- files -------------------------------------------------------------------------

    @guarded
    async def open(self, inode: int, flags: int, _: object) -> pyfuse3.FileInfo:
        """OPEN. An inode's content never changes, so its pages stay good: but for a bad blob's."""
        if flags & _WRITING:
            raise pyfuse3.FUSEError(errno.EROFS)
        handle = await self._fs.open_file(inode)
        return pyfuse3.FileInfo(fh=handle, keep_cache=self._fs.may_keep_pages(handle))

    @guarded
    async def read(self, handle: int, offset: int, size: int) -> bytes:
        """READ: the relay brings the bytes, and is told where they are."""
        return self._parcels.label(await self._fs.locate(handle, offset, size))

    @guarded
    async def release(self, handle: int) -> None:
        """RELEASE."""
        self._fs.close_file(handle)

    # --- the rest ----------------------------------------------------------------------

    @guarded
    async def statfs(self, _: object) -> pyfuse3.StatvfsData:
        """STATFS: the cache's own room."""
        space = self._fs.space()
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = 4096
        data.f_blocks = space.total // 4096
        data.f_bfree = space.free // 4096
        data.f_bavail = space.available // 4096
        data.f_namemax = 255
        return data

    @guarded
    async def getxattr(self, inode: int, name: bytes, _: object) -> bytes:
        """GETXATTR."""
        return self._fs.extended_attribute(inode, name)

    @guarded
    async def listxattr(self, inode: int, _: object) -> list[bytes]:
        """LISTXATTR."""
        return list(self._fs.extended_attributes(inode))

    # --- attributes --------------------------------------------------------------------

    def _entry(self, attributes: Attributes) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        self._fill(entry, attributes)
        return entry

    def _fill(self, entry: pyfuse3.EntryAttributes, attributes: Attributes) -> None:
        self._fill_own(entry, attributes)
        entry.generation = 0
        entry.entry_timeout = attributes.entry_ttl
        entry.attr_timeout = attributes.attribute_ttl
        entry.st_uid, entry.st_gid, modes = self._permissions
        entry.st_mode = modes[attributes.type]
        entry.st_nlink = 1
        entry.st_blksize = IO_SIZE
        mtime = nanoseconds_of(attributes.mtime)
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = mtime

    def _fill_own(self, entry: pyfuse3.EntryAttributes, attributes: Attributes) -> None:
        size = attributes[2]
        entry.st_ino = attributes[0]
        entry.st_size = size
        entry.st_blocks = blocks_of(size)
