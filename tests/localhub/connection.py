"""One client's connection: reads requests, has them answered, delivers.

Wrong answers are delivered as faithfully as right ones: what a fault asks for
happens here, after the log knows of it.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate

from tests.localhub.log import OriginName, Record
from tests.localhub.peer import Peer
from tests.localhub.state import HubState
from tests.localhub.wire import Cut, Part, Request, Response, clip, parse_head, read_parts, whole

Answer = Callable[[HubState, Request, int], Response]

_SMALL = 1 << 14


@dataclass(frozen=True)
class Service:
    """What all connections of an origin share."""

    hub: HubState
    origin: OriginName
    answer: Answer
    tls: ssl.SSLContext | None


@dataclass
class _Delivery:
    """The last body sent: what it takes to tell how much of it arrived."""

    record: Record
    acknowledged_before: int
    head_size: int


class _Over(Exception):
    """The connection is to end in the ordinary way."""


class Connection:
    """Serves one peer until either side ends it."""

    def __init__(self, service: Service, peer: Peer, number: int) -> None:
        self._service, self._peer, self._number = service, peer, number
        self._hub = service.hub
        self._received = b""
        self._delivery: _Delivery | None = None

    def serve(self) -> None:
        """Serve requests until the connection ends, and close it."""
        try:
            self._greet()
            while True:
                self._serve_one()
        except (OSError, _Over):
            return  # clients leave as they like
        finally:
            self._settle()
            self._peer.close()

    def _greet(self) -> None:
        self._peer.wait(self._hub.rtt)  # the TCP handshake, seen from afar
        if self._service.tls:
            self._peer.wait(self._hub.rtt)
            self._peer.start_tls(self._service.tls)

    def _serve_one(self) -> None:
        request = self._read_request()
        self._delivery = None  # a next request confirms the whole answer before it
        if self._service.origin == "hub" and request.segments[0] == "-":
            self._deliver(request, self._service.answer(self._hub, request, 0), None)
            return
        record = self._hub.log.open(self._service.origin, self._number, request)
        try:
            self._peer.wait(self._hub.rtt)
            self._deliver(request, self._answered(request, record), record)
        except (OSError, _Over):
            self._settle()
            raise
        finally:
            self._hub.log.close(record)

    def _answered(self, request: Request, record: Record) -> Response:
        answer, origin = self._service.answer, self._service.origin
        response = answer(self._hub, request, record.number)
        fault = self._hub.faults.take(origin, request, response)
        if fault is not None:
            if fault.action == "ignore_range":
                response = answer(self._hub, request.without("range"), record.number)
            response = fault.applied(request, response)
        record.describe(response, fault.action if fault else None)
        return response

    def _deliver(self, request: Request, response: Response, record: Record | None) -> None:
        self._peer.wait(response.delay)
        if response.cut and response.cut.at is None:
            raise _Over
        dated = response.with_headers(("Date", formatdate(usegmt=True)))
        head = dated.head(keep_alive=request.keeps_alive)
        if record:
            self._delivery = _Delivery(record, self._peer.acknowledged(), len(head))
        is_bodiless = request.method == "HEAD" or response.status == 304
        self._send(head, replace(response, parts=()) if is_bodiless else response, record)
        if not request.keeps_alive:
            self._peer.drain()
            raise _Over

    def _send(self, head: bytes, response: Response, record: Record | None) -> None:
        parts = _framed(response)
        if response.cut:
            self._peer.send(head)
            self._send_parts(clip(parts, 0, response.cut.at or 0), record)
            self._interrupt(response.cut)
            self._send_parts(clip(parts, response.cut.at or 0, response.length), record)
        elif response.length < _SMALL and self._hub.bandwidth is None:
            self._count(response.length, record)
            self._peer.send(head + read_parts(parts))
        else:
            self._peer.send(head)
            self._send_parts(parts, record)

    def _send_parts(self, parts: tuple[Part, ...], record: Record | None) -> None:
        self._peer.send_parts(
            parts,
            # The control endpoint, which has no record, is no part of the slow line.
            lambda: self._hub.bandwidth if record else None,
            lambda size: self._count(size, record),
        )

    def _interrupt(self, cut: Cut) -> None:
        if cut.how == "stall":
            self._peer.wait(cut.seconds)
            return
        self._peer.drain()
        self._settle()
        if cut.how == "reset":
            self._peer.reset()
        raise _Over

    def _count(self, size: int, record: Record | None) -> None:
        # Counted before it is sent: whoever has read a body finds it in the log.
        if record:
            self._hub.log.correct(record, record.body_bytes + size)

    def _settle(self) -> None:
        """Correct the last body's count to what the other side confirmed."""
        last, self._delivery = self._delivery, None
        if last and not self._peer.is_closed:
            got = self._peer.body_acknowledged(last.acknowledged_before, last.head_size)
            self._hub.log.correct(last.record, min(last.record.body_bytes, got))

    def _read_request(self) -> Request:
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        try:
            request = parse_head(head)
            length = int(request.headers.get("content-length") or 0)
        except ValueError:
            raise _Over from None
        if "100-continue" in request.headers.get("expect", ""):
            self._peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return replace(request, body=self._read_body(length))

    def _read_body(self, length: int) -> bytes:
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return body

    def _receive(self) -> None:
        data = self._peer.receive()
        if not data:
            raise _Over
        self._received += data


def _framed(response: Response) -> tuple[Part, ...]:
    if not response.is_chunked:
        return response.parts
    size = f"{response.length:x}\r\n".encode()
    return whole(size) + response.parts + whole(b"\r\n0\r\n\r\n")
