"""Contents: from a place in a repo to a stream of the bytes asked for.

An address is resolved once and its signed location used for every range until
it expires: each `/resolve/` request costs rate limit. All of it blocks, in
worker threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from hubfs.errors import (
    HubError,
    HubUnreachable,
    LocationExpired,
    NoConnection,
    Offline,
    ProtocolViolation,
    RateLimited,
)
from hubfs.hub import answers, urls
from hubfs.hub.connections import Connections, Exchange, Lifeline
from hubfs.hub.credentials import Credentials
from hubfs.hub.locations import Locations
from hubfs.hub.metadata import LONGEST_CHAIN, USER_AGENT
from hubfs.hub.pace import RESOLVERS, Breaker, RateLimits
from hubfs.model.content import Source
from hubfs.model.ranges import ByteRange

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SENT = frozenset({200, 206})


class ContentStream:
    """The bytes of `span` on their way. Reading past what was promised is impossible."""

    def __init__(
        self, exchange: Exchange, span: ByteRange, let_go: Callable[[Exchange], None]
    ) -> None:
        self.span = span
        self._exchange = exchange
        self._left = span.size
        self._let_go = let_go

    def readinto(self, buffer: memoryview) -> int:
        """Receive up to `len(buffer)` bytes; 0 when all of `span` has been received.

        Raises:
            ProtocolViolation: the body ended early.
            HubUnreachable: the connection broke, stalled, or was cut.
        """
        if not self._left:
            return 0
        count = self._exchange.readinto(buffer[: self._left])
        if not count:
            host = urls.host_of(self._exchange.url)
            raise ProtocolViolation(f"{host} ended a body {self._left} bytes early")
        self._left -= count
        return count

    def close(self) -> None:
        """Let go of the connection; it is kept if the body was received whole."""
        if not self._left:
            self._exchange.drain()  # chunks end with one of no bytes, which nobody has read yet
        self._let_go(self._exchange)


class ContentClient:
    """Opens streams of contents of one endpoint. Thread-safe; calls block."""

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        limits: RateLimits,
        breaker: Breaker,
        *,
        idle_timeout: float = 30.0,
        offline: bool = False,
    ) -> None:
        """Serve `endpoint`; when `offline`, refuse every call without a request."""
        self._endpoint = endpoint
        self._endpoint_origin = urls.origin_of(endpoint)
        self._credentials = credentials
        self.limits = limits
        self.breaker = breaker
        self._offline = offline
        self._connections = Connections(idle_timeout)
        self._locations = Locations()
        self._whole: set[Source] = set()  # of which all is on its way, whatever was asked for

    def open(self, source: Source, span: ByteRange, size: int, lifeline: Lifeline) -> ContentStream:
        """Ask for `span` of a file of `size` bytes.

        The stream's own `span` may be the whole file: some servers ignore ranges. While one of
        those is sending a file, it is not asked for that file again.

        Raises:
            NotOnHub, AccessDenied: the Hub refuses; trying again is no use.
            LocationExpired: the signed address was refused; it is forgotten.
            TransientHubError: the request failed in a way that may pass.
            Offline: hubfs makes no requests.
        """
        if self._offline:
            raise Offline(f"{source}: not cached, and hubfs is offline")
        exchange = self._ask(source, span, lifeline)
        try:
            sent = sent_span(exchange.status, exchange.headers, span, size, str(source))
        except HubError:
            self._whole.discard(source)
            exchange.close()
            raise
        return ContentStream(exchange, sent, partial(self._let_go, source))

    def _let_go(self, source: Source, exchange: Exchange) -> None:
        self._whole.discard(source)
        self._connections.put_back(exchange)

    def _ask(self, source: Source, span: ByteRange, lifeline: Lifeline) -> Exchange:
        resolve = partial(self._resolve, source, span, lifeline)
        while (location := self._locations.find(source)) is None:
            found = self._locations.search(source, resolve, lifeline)
            if found is not None:
                return found
        exchange = self._get(location, source, span, lifeline)
        if exchange.status not in _SENT:
            raise self._refusal(exchange, source, is_remembered=True)
        return exchange

    def _resolve(self, source: Source, span: ByteRange, lifeline: Lifeline) -> Exchange:
        """Follow the file's address to its bytes, and remember the last hop."""
        url = urls.content_url(self._endpoint, source)
        for _ in range(LONGEST_CHAIN):
            exchange = self._get(url, source, span, lifeline)
            location = exchange.headers.get("location")
            if exchange.status in _SENT:
                self._locations.remember(source, url)
                return exchange
            if exchange.status not in _REDIRECTS or not location:
                raise self._refusal(exchange, source, is_remembered=False)
            exchange.drain()
            self._connections.put_back(exchange)
            url = urls.following(url, location)
            if not self._is_at_hub(url):
                # Before it answers: who else wants the file need not wait for its first byte.
                self._locations.remember(source, url)
        raise ProtocolViolation(f"{source}: redirected in circles")

    def _get(self, url: str, source: Source, span: ByteRange, lifeline: Lifeline) -> Exchange:
        is_at_hub = self._is_at_hub(url)
        if is_at_hub:
            self._wait_not(source)
        if source in self._whole:
            raise one_is_enough(source)
        headers = {
            "range": f"bytes={span.start}-{span.stop - 1}",
            "accept-encoding": "identity",
            "user-agent": USER_AGENT,
        }
        headers |= self._credentials.headers_for(url)
        try:
            exchange = self._connections.get(url, headers, lifeline)
        except HubError as error:
            if not lifeline.is_cut:
                self._note_no_answer(source, url, error)
            raise
        if exchange.status == 200:
            self._whole.add(source)
        if is_at_hub:
            self.breaker.note_success()
            self.limits.note(answers.rate_states(exchange.headers), time.monotonic())
        return exchange

    def _note_no_answer(self, source: Source, url: str, error: HubError) -> None:
        """Ask the Hub for the way again next time: it may lead elsewhere by then."""
        self._locations.forget(source, url)
        if self._is_at_hub(url) and isinstance(error, HubUnreachable):
            self.breaker.note_failure(
                time.monotonic(), str(error), lacks_connection=isinstance(error, NoConnection)
            )

    def _wait_not(self, source: Source) -> None:
        wait = self.limits.wait(RESOLVERS, time.monotonic())
        if wait:
            raise RateLimited(f"{source}: the Hub's rate limit is reached", retry_after=wait)

    def _refusal(self, exchange: Exchange, source: Source, *, is_remembered: bool) -> HubError:
        """What an answer without bytes means; where the address is to blame, it is forgotten."""
        exchange.close()
        status, is_at_hub = exchange.status, self._is_at_hub(exchange.url)
        if status < 429:
            self._locations.forget(source, exchange.url)
        if status == 401 and is_at_hub and self._credentials.has_other_than(exchange.sent):
            return LocationExpired(f"{source}: the token has changed")
        if status < 429 and (is_remembered or not is_at_hub):
            host = urls.host_of(exchange.url)
            return LocationExpired(f"{source}: {host} answered {status}")
        error = answers.error_of(status, exchange.headers, str(source))
        if isinstance(error, RateLimited) and is_at_hub:
            self.limits.close(RESOLVERS, time.monotonic(), error.retry_after)
        return error

    def _is_at_hub(self, url: str) -> bool:
        return urls.origin_of(url) == self._endpoint_origin

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()


def one_is_enough(source: Source) -> HubUnreachable:
    """Why to leave a file to the request that brings all of it."""
    return HubUnreachable(f"{source}: the server ignores ranges; one request is enough")


def sent_span(
    status: int, headers: Mapping[str, str], span: ByteRange, size: int, subject: str
) -> ByteRange:
    """Which bytes of the file an answer carries, checked against what was asked. Pure.

    Raises:
        ProtocolViolation: it is encoded, or lies about range or total.
    """
    if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise ProtocolViolation(f"{subject}: the server encoded a body asked for as it is")
    length = headers.get("content-length")
    if status == 200:
        if length is not None and int(length) != size:
            raise ProtocolViolation(f"{subject}: the server has {length} bytes, not {size}")
        return ByteRange(0, size)
    found = answers.content_range(headers.get("content-range"))
    if found != (span.start, span.stop, size) or int(length or span.size) != span.size:
        what = (headers.get("content-range") or "")[:80]
        raise ProtocolViolation(f"{subject}: asked for {span} of {size}, got {what!r}")
    return span
