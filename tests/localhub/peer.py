"""A connected socket: sending bodies, waiting, and what the other side got.

Knows TCP and TLS, not HTTP. One thread owns a peer; `hang_up` alone may be
called from others.
"""

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.localhub.throttle import piece_size, wait_before
from tests.localhub.wire import Part

_BYTES_ACKED = 120  # offset of tcpi_bytes_acked in struct tcp_info
_TCP_INFO_SIZE = 128
_TLS_RECORD = 16384
_TLS_OVERHEAD = 22  # header, content type and tag of a TLS 1.3 record
_BUFFER_SIZE = 1 << 20

Bandwidth = Callable[[], float | None]


class SourceLost(Exception):
    """A file that was pushed by its path is not there as it was: the script is wrong.

    No OSError, for those are how clients leave.
    """


class Peer:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLRDHUP)
        self._closing = threading.Lock()
        self._buffer: bytearray | None = None

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server's side of the handshake."""
        # The descriptor moves to the new object and keeps its number; meanwhile
        # neither object has it, and hang_up must not look.
        with self._closing:
            self._sock = context.wrap_socket(
                self._sock, server_side=True, do_handshake_on_connect=False
            )
        self._sock.do_handshake()

    def receive(self) -> bytes:
        """Return what arrived; empty when the other side is done."""
        return self._sock.recv(1 << 16)

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def send_parts(
        self, parts: tuple[Part, ...], bandwidth: Bandwidth, count: Callable[[int], None]
    ) -> None:
        """Send a body no faster than `bandwidth`; `count` is told before each piece."""
        sent, began = 0, time.monotonic()
        for part in parts:
            with _opened(part) as source:
                for start, length in _pieces(part, bandwidth):
                    self.wait(wait_before(sent, time.monotonic() - began, bandwidth()))
                    count(length)
                    self._send_piece(source, start, length)
                    sent += length

    def wait(self, seconds: float | None) -> None:
        """Wait (None: for ever).

        Raises:
            ConnectionError: the other side left, or `hang_up` was called.
        """
        if seconds == 0:
            return
        timeout = None if seconds is None or seconds > 1e6 else seconds * 1000
        if self._poll.poll(timeout):
            raise ConnectionAbortedError

    def acknowledged(self) -> int:
        """Return how many bytes the other side's kernel has confirmed, ever."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        (count,) = struct.unpack_from("Q", info, _BYTES_ACKED)
        return int(count)

    def body_acknowledged(self, since: int, head: int) -> int:
        """Return how much of a body was confirmed.

        `since` is what `acknowledged` said before the head of `head` bytes was sent.
        Exact on plain TCP; under TLS never too low for a whole body, and not
        corrected for the size of small records.
        """
        raw = self.acknowledged() - since - head
        if isinstance(self._sock, ssl.SSLSocket):
            raw = (raw - _TLS_OVERHEAD) * _TLS_RECORD // (_TLS_RECORD + _TLS_OVERHEAD) + 1
        return max(raw, 0)

    def drain(self, seconds: float = 5.0) -> None:
        """Wait until everything sent is confirmed, or the other side is gone."""
        deadline = time.monotonic() + seconds
        while self._unconfirmed() and time.monotonic() < deadline:
            if any(event & (select.POLLHUP | select.POLLERR) for _, event in self._poll.poll(0)):
                return
            # The kernel has no event for this; loopback confirms almost at once.
            select.select([], [], [], 0.0005)

    def reset(self) -> None:
        """End the connection with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with self._closing:
            self._sock.close()

    @property
    def is_closed(self) -> bool:
        return self._sock.fileno() < 0

    def hang_up(self) -> None:
        """End the connection from another thread; the owner wakes up and closes."""
        with self._closing:
            if self.is_closed:
                return
            try:
                # SSLSocket.shutdown would take the TLS state away from under the owner.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            except OSError:
                return  # the other side was faster

    def _unconfirmed(self) -> int:
        buffer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", buffer)[0])

    def _send_piece(self, source: bytes | int, start: int, length: int) -> None:
        if isinstance(source, bytes):
            self._sock.sendall(memoryview(source)[start : start + length])
        elif isinstance(self._sock, ssl.SSLSocket):
            self._sock.sendall(self._read(source, start, length))
        else:
            self._send_file(source, start, length)

    def _send_file(self, file: int, start: int, length: int) -> None:
        while length:
            sent = os.sendfile(self._sock.fileno(), file, start, length)
            if not sent:
                raise SourceLost("a file shrank while it was served")
            start, length = start + sent, length - sent

    def _read(self, file: int, start: int, length: int) -> memoryview:
        # One buffer for all pieces: a fresh megabyte each time costs its page faults.
        self._buffer = self._buffer or bytearray(_BUFFER_SIZE)
        view = memoryview(self._buffer)[:length]
        if os.preadv(file, [view], start) != length:
            raise SourceLost("a file shrank while it was served")
        return view


@contextmanager
def _opened(part: Part) -> Iterator[bytes | int]:
    if isinstance(part.source, bytes):
        yield part.source
        return
    try:
        file = os.open(part.source, os.O_RDONLY)
    except OSError as error:
        raise SourceLost(f"{part.source} cannot be served") from error
    try:
        yield file
    finally:
        os.close(file)


def _pieces(part: Part, bandwidth: Bandwidth) -> Iterator[tuple[int, int]]:
    position, stop = part.start, part.start + part.length
    while position < stop:
        length = min(piece_size(bandwidth()), stop - position)
        yield position, length
        position += length
