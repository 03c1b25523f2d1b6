"""One HTTP/1.1 request and its answer on a connection.

h11 reads heads and chunks, strictly; a body of known length goes straight from
the wire to the caller's memory.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping

import h11

from hubfs.errors import HubUnreachable, ProtocolViolation
from hubfs.hub.lifeline import Lifeline
from hubfs.hub.tally import count_answer
from hubfs.hub.urls import host_of
from hubfs.hub.wire import Wire

LARGEST_HEAD = 64 << 10
LEAST_PROGRESS = 4 << 10
_STEP = 16 << 10
_SHORT_BODY = 64 << 10
_SHORT_WAIT = 0.5
_BODILESS = frozenset({204, 304})


class Stall:
    """Tells a slow body from none: `LEAST_PROGRESS` bytes per `patience` seconds of waiting. Pure.

    A byte now and then is no progress: it would hold a reader for ever. Only
    time spent waiting counts: whoever takes the bytes may be slower still.
    """

    def __init__(self, patience: float) -> None:
        self.left = patience
        self._patience = patience
        self._came = 0

    def note(self, count: int, waited: float) -> None:
        """`count` bytes came after `waited` seconds."""
        self.left -= waited
        self._came += count
        if self._came >= LEAST_PROGRESS:
            self._came, self.left = 0, self._patience


class Exchange:
    """Use `ask` once; then the body is on the wire. One thread at a time.

    Whatever waits may be ended by the lifeline. All failures are HubUnreachable
    or ProtocolViolation, and name the host only.
    """

    def __init__(self, wire: Wire, url: str, lifeline: Lifeline, patience: float) -> None:
        """Speak on `wire` to the server of `url`, with `patience` seconds for the head."""
        self.wire = wire
        self.url = url
        self.status = 0
        self.headers: dict[str, str] = {}
        self.sent: Mapping[str, str] = {}
        self.is_unanswered = False
        self._lifeline = lifeline
        self._stall = Stall(patience)
        self._patience = patience
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self._buffer = memoryview(bytearray(_STEP))
        self._came = 0
        self._asked_at = 0.0
        self._early = memoryview(b"")  # bytes of the body that are here already
        self._left: int | None = None  # of a body of known length
        self._is_over = self._is_kept_alive = False

    # --- the head ----------------------------------------------------------------------

    def ask(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        """Send a request without a body, and wait for the head of its answer.

        Raises:
            HubUnreachable: no answer came; `is_unanswered` tells whether the
                connection ended before any of it did.
            ProtocolViolation: the answer is not HTTP.
        """
        self.sent = headers
        self._asked_at = time.monotonic()
        with self._translated():
            self._lifeline.attach(self.wire.socket)
            request = h11.Request(method=method, target=target, headers=list(headers.items()))
            data = (self._http.send(request) or b"", self._http.send(h11.EndOfMessage()) or b"")
            try:
                self.wire.send(b"".join(data))
                head = self._head(time.monotonic() + self._patience)
            except ConnectionError:
                self.is_unanswered = not self._came
                raise
        self._begin_body(head)

    def _head(self, deadline: float) -> h11.Response:
        while not isinstance(event := self._http.next_event(), h11.Response):
            # Answers that only inform (1xx) may come before it, but not for ever.
            if self._came > LARGEST_HEAD:
                raise h11.RemoteProtocolError("a head without end")
            if event is h11.NEED_DATA and not self._feed(deadline):
                raise ConnectionResetError("it hung up")
        return event

    def _feed(self, deadline: float) -> int:
        count = self.wire.receive(self._buffer, deadline)
        self._came += count
        self._http.receive_data(bytes(self._buffer[:count]))
        return count

    def _begin_body(self, head: h11.Response) -> None:
        self.status = head.status_code
        count_answer(self.url, self.status, time.monotonic() - self._asked_at)
        for name, value in head.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        length, is_chunked = self.headers.get("content-length"), "transfer-encoding" in self.headers
        # Else nobody can be sure where the next answer begins.
        is_bounded = self.status in _BODILESS or is_chunked != (length is not None)
        options = self.headers.get("connection", "").lower().replace(" ", "").split(",")
        self._is_kept_alive = head.http_version == b"1.1" and "close" not in options and is_bounded
        if self.status in _BODILESS:
            self._left = 0
        elif length is not None and not is_chunked:
            self._left = int(length)
        if self._left is not None:
            early = memoryview(self._http.trailing_data[0])
            self._early = early[: self._left]
            self._is_kept_alive &= len(early) <= self._left
        self._stall = Stall(self._patience)

    # --- the body ----------------------------------------------------------------------

    def readinto(self, buffer: memoryview) -> int:
        """Receive up to `len(buffer)` bytes of the body; 0 at its end, be it too early.

        Raises:
            HubUnreachable: the connection broke, stalled, or was cut.
            ProtocolViolation: its framing is broken.
        """
        with self._translated():
            if self._left is None:
                return self._read_framed(buffer)
            count = self._read_sized(buffer[: self._left])
            self._left -= count
            return count

    def _read_sized(self, buffer: memoryview) -> int:
        if not buffer or self._early:
            return self._take_early(buffer)
        began = time.monotonic()
        count = self.wire.fill(buffer, began + self._stall.left)
        if not count:
            self._lifeline.check()
        self._stall.note(count, time.monotonic() - began)
        return count

    def _read_framed(self, buffer: memoryview) -> int:
        while not self._early and not self._is_over:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                began = time.monotonic()
                count = self._feed(began + self._stall.left)
                self._stall.note(count, time.monotonic() - began)
            elif isinstance(event, h11.Data):
                self._early = memoryview(event.data)
            else:
                self._is_over = True
        return self._take_early(buffer)

    def _take_early(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._early))
        buffer[:count], self._early = self._early[:count], self._early[count:]
        return count

    def drain(self) -> None:
        """Take a short body off the wire, so that the connection can be used again.

        Gives up soon and in silence.
        """
        if not self._is_kept_alive:
            return
        self._stall = Stall(_SHORT_WAIT)
        most = _SHORT_BODY
        with contextlib.suppress(HubUnreachable, ProtocolViolation):
            while most > 0 and (count := self.readinto(memoryview(bytearray(_STEP)))):
                most -= count

    # --- the end -----------------------------------------------------------------------

    @property
    def is_reusable(self) -> bool:
        """Whether the connection is at the start of another exchange, as far as is known."""
        if self._left is None:
            is_over = self._is_over and not self._http.trailing_data[0]
        else:
            is_over = not self._left
        return is_over and self._is_kept_alive

    def detach(self) -> None:
        """The connection is another's now."""
        self._lifeline.detach()

    def close(self) -> None:
        """End it and its connection."""
        self._lifeline.detach()
        self.wire.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except h11.ProtocolError as error:
            self._lifeline.check()
            # Not its text: that quotes the answer, which may hold a signed address.
            raise ProtocolViolation(f"{host_of(self.url)} does not speak HTTP") from error
        except OSError as error:
            self._lifeline.check()
            raise unreachable(self.url, error) from error


def unreachable(
    url: str, error: OSError, kind: type[HubUnreachable] = HubUnreachable
) -> HubUnreachable:
    """What an error of the network means to someone who asked for `url`."""
    reason = error.strerror or str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        reason = "nothing came for too long"
    hint = ""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "name the certificates to trust in SSL_CERT_FILE"
    return kind(f"{host_of(url)} cannot be reached: {reason}", hint=hint)
