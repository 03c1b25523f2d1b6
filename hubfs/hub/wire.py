"""The bytes of one connection, plain or under TLS.

Sockets block, and the kernel ends each wait after a slice of time: a request
for a megabyte is then one system call without the GIL, and whatever has come
by the end of the slice is handed over. TLS works on memory: a quarter of a
megabyte is received at once, and its records of 16 KiB are taken apart together.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time

from hubfs.hub import openssl
from hubfs.hub.records import Records, records_of

SLICE = 0.25  # seconds
LONGEST_SEND = 10  # seconds
_RAW = 256 << 10


class Wire:
    """One thread at a time. A `deadline` is a `time.monotonic()`.

    All that waits raises OSError: TimeoutError when the deadline has passed, even
    if something has come meanwhile, other kinds when the connection breaks.
    """

    def __init__(self, connected: socket.socket) -> None:
        """Own `connected`, which blocks."""
        receive_timeout = struct.pack("ll", 0, int(SLICE * 1e6))
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, receive_timeout)
        send_timeout = struct.pack("ll", LONGEST_SEND, 0)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, send_timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self._tls: ssl.SSLObject | None = None
        self._records: Records | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._raw = memoryview(b"")

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Shake hands as a client of `host`; from then on all bytes are encrypted."""
        client = openssl.client_of(context, host, self._incoming, self._outgoing)
        self._raw = memoryview(bytearray(_RAW))
        try:
            while not self._is_greeted(client.tls):
                self._pump()
                _check(deadline)
        finally:
            self._flush()  # the last word, or the alert that says why there is none
        self._tls, self._records = client.tls, records_of(client, self._incoming)

    def _is_greeted(self, tls: ssl.SSLObject) -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        return True

    def send(self, data: bytes) -> None:
        """Send all of `data`, which is short."""
        if self._tls is not None:
            self._tls.write(data)
            self._flush()
        else:
            self._send(data)

    def receive(self, buffer: memoryview, deadline: float) -> int:
        """Receive what comes first, up to `len(buffer)` bytes; 0 at the end of the connection."""
        _check(deadline)
        if self._records is not None:
            return self._fill_tls(self._records, buffer, deadline, 0.0)
        return self._fill_plain(buffer, deadline, 0)

    def fill(self, buffer: memoryview, deadline: float) -> int:
        """Receive as much of `buffer` as comes within a slice, but at least one byte.

        0 at the end of the connection.
        """
        _check(deadline)
        if self._records is not None:
            return self._fill_tls(self._records, buffer, deadline, time.monotonic() + SLICE)
        return self._fill_plain(buffer, deadline, socket.MSG_WAITALL)

    def _fill_plain(self, buffer: memoryview, deadline: float, flags: int) -> int:
        while True:
            with contextlib.suppress(BlockingIOError):  # a slice of silence
                return self.socket.recv_into(buffer, 0, flags)
            _check(deadline)

    def _fill_tls(
        self, records: Records, buffer: memoryview, deadline: float, slice_ends: float
    ) -> int:
        filled = 0
        while True:
            count, is_over = records.read(buffer[filled:])
            self._flush()  # what the peer asked for in passing, such as new keys
            filled += count
            if is_over or filled == len(buffer):
                return filled
            if time.monotonic() >= (slice_ends if filled else deadline):
                if not filled:
                    raise TimeoutError
                return filled
            self._pump()

    def _pump(self) -> None:
        """Receive encrypted bytes, or nothing for a slice."""
        try:
            count = self.socket.recv_into(self._raw)
        except BlockingIOError:
            return
        if count:
            self._incoming.write(self._raw[:count])
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send(self._outgoing.read())

    def _send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except BlockingIOError:
            raise TimeoutError from None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, the end of the connection included."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN | select.POLLRDHUP)
        has_unread = self._records is not None and self._records.has_unread
        return not has_unread and not poll.poll(0)

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


def _check(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError
