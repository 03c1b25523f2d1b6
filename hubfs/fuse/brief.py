"""System calls that do not wait, made without handing the interpreter's lock over and back.

Where many threads want the lock, getting it back takes milliseconds, and such a call
microseconds. None of them may block, or the whole process would: what has to be waited
for is waited for without the lock.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
from typing import Final

_libc: Final = ctypes.PyDLL(None, use_errno=True)  # calls of a PyDLL keep the lock
_read, _write, _send, _poll = _libc.read, _libc.write, _libc.send, _libc.poll
for _call in (_read, _write, _send):
    _call.restype = ctypes.c_ssize_t
_read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class _PollFd(ctypes.Structure):
    """`struct pollfd` of poll(2)."""

    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


_poll.argtypes = (ctypes.POINTER(_PollFd), ctypes.c_ulong, ctypes.c_int)


class Inbox:
    """The messages of a device, one at a time in one buffer. For one thread."""

    def __init__(self, device: int, largest: int) -> None:
        """Make `device` non-blocking, and read messages of at most `largest` bytes from it."""
        self._device = device
        self._buffer = bytearray(largest)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._view = memoryview(self._buffer)
        self._size = 0
        self._poll = select.poll()
        os.set_blocking(device, False)
        self._poll.register(device, select.POLLIN)

    def receive(self) -> memoryview:
        """The next message, once there is one; empty at the end. The one before is gone.

        Raises:
            OSError: the device has no more, or took the message back.
        """
        while True:
            self._size = _read(self._device, self._address, len(self._buffer))
            if self._size >= 0:
                return self._view[: self._size]
            error = ctypes.get_errno()
            if error != errno.EAGAIN:
                raise OSError(error, os.strerror(error))
            self._poll.poll()

    def pass_on(self, other: socket.socket) -> None:
        """Send the last message to `other`; where it has no room, wait for it.

        Raises:
            OSError: it takes no more.
        """
        if _send(other.fileno(), self._address, self._size, socket.MSG_DONTWAIT) < 0:
            other.send(self._view[: self._size])


def write(descriptor: int, data: bytes) -> None:
    """Write to what takes all at once or nothing.

    Raises:
        OSError: it does not.
    """
    if _write(descriptor, data, len(data)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def can_write(descriptor: int) -> bool:
    """Whether a write would not wait; so it is too where the other end is gone."""
    return bool(_poll(_PollFd(descriptor, select.POLLOUT), 1, 0))
