"""Which inodes are read through the kernel, and which through its page cache.

The kernel refuses to have one inode open in both ways at once, or on two
backing files. So the first open of an inode decides for all that overlap it:
a file opened while it was cold stays cached until its last such open goes.

So a file whose blob turned out bad while programs read it through the kernel
can be opened by nobody else until they have closed it: any way that the kernel
would allow leads to the bad blob.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import struct
import threading
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from hubfs.store.links import unlinked

log = logging.getLogger(__name__)

_OPEN: Final = 0x4010E501  # FUSE_DEV_IOC_BACKING_OPEN
_CLOSE: Final = 0x4004E502  # FUSE_DEV_IOC_BACKING_CLOSE
_MAP: Final = struct.Struct("<iIQ")  # descriptor, flags, padding
_ID: Final = struct.Struct("<I")


class Registrar(Protocol):
    """Gives the kernel a file to read from, and takes it back."""

    def register(self, descriptor: int) -> int:
        """The kernel's id for the open file `descriptor`, which it keeps open itself.

        Raises:
            OSError: the kernel refuses.
        """

    def withdraw(self, backing: int) -> None:
        """Opens that use the id keep their file."""


class KernelRegistrar:
    """The real one, over the FUSE device."""

    def __init__(self, device: int) -> None:
        self._device = device

    def register(self, descriptor: int) -> int:
        """See `Registrar`."""
        # With a mutable argument ioctl returns the call's own result, which is the id.
        return int(fcntl.ioctl(self._device, _OPEN, bytearray(_MAP.pack(descriptor, 0, 0))))

    def withdraw(self, backing: int) -> None:
        """See `Registrar`."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._device, _CLOSE, _ID.pack(backing))


class Way(NamedTuple):
    """How an open file is to be read: through the page cache, unless one of the two is set."""

    backing: int = 0
    is_refused: bool = False


CACHED: Final = Way()
REFUSED: Final = Way(is_refused=True)


@dataclass(slots=True)
class _Node:
    """How one inode is open: so many times cached, or so many times passed through."""

    cached: int = 0
    passed: int = 0
    backing: int = 0
    file: tuple[int, int] = (0, 0)  # the one behind it: device and inode


class Backings:
    """The open files of a mount. Thread-safe."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._lock = threading.Lock()
        self._nodes: dict[int, _Node] = {}
        self._passed: set[int] = set()
        self.refusal = ""

    def open(self, node: int, handle: int, descriptor: int | None) -> Way:
        """Count an open of inode `node`, unless it is refused, and say how it goes.

        `descriptor` is of the complete blob, None while there is none.
        """
        with self._lock:
            state = self._nodes.setdefault(node, _Node())
            if state.passed and _file_of(descriptor) != state.file:
                return REFUSED
            if not state.cached and not state.passed and descriptor is not None:
                state.backing = self._register(descriptor)
                state.file = _file_of(descriptor)
            if not state.cached and state.backing:
                state.passed += 1
                self._passed.add(handle)
                return Way(state.backing)
            state.cached += 1
            return CACHED

    def attempt(self, descriptor: int) -> str:
        """Why the kernel would not read the open file by itself; empty if it would."""
        try:
            self._registrar.withdraw(self._registrar.register(descriptor))
        except OSError as error:
            return _why(error)
        return ""

    def _register(self, descriptor: int) -> int:
        """The kernel's id for it; 0 if the kernel refuses, or others may change the file."""
        try:
            with unlinked(descriptor) as is_ours:
                return self._registrar.register(descriptor) if is_ours else 0
        except OSError as error:
            if not self.refusal:
                self.refusal = _why(error)
                log.warning("the kernel does not pass reads through: %s", self.refusal)
            return 0

    def close(self, node: int, handle: int) -> None:
        """Count a release of `handle`."""
        with self._lock:
            state = self._nodes.get(node)
            if state is None:
                return
            if handle in self._passed:
                self._passed.discard(handle)
                state.passed -= 1
            else:
                state.cached -= 1
            if not state.passed and state.backing:
                self._registrar.withdraw(state.backing)
                state.backing = 0
            if not state.passed and state.cached <= 0:
                del self._nodes[node]


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is on a stacked file system, such as overlayfs"
    return error.strerror or "refused"


def _file_of(descriptor: int | None) -> tuple[int, int]:
    if descriptor is None:
        return (0, 0)
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
