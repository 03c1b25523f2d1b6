"""Contents: from a place in a repo to a stream of the bytes asked for.

An address is resolved once and its signed location used for every range until
it expires: each `/resolve/` request costs rate limit. All of it blocks, in
worker threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from hubfs.errors import (
    HubError,
    HubUnreachable,
    LocationExpired,
    Offline,
    ProtocolViolation,
    RateLimited,
)
from hubfs.hub import answers, urls
from hubfs.hub.api import LONGEST_CHAIN, USER_AGENT
from hubfs.hub.connections import Connections, Exchange, Lifeline
from hubfs.hub.credentials import Credentials
from hubfs.hub.pace import Breaker, RateLimits
from hubfs.model.content import Source
from hubfs.model.ranges import ByteRange

BUCKET = "resolvers"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRY_MARGIN = 30.0
_MOST_LOCATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file's bytes are; good until `expires`, seconds since the epoch."""

    url: str
    expires: float


class ContentStream:
    """The bytes of `span` on their way. Reading past what was promised is impossible."""

    def __init__(self, exchange: Exchange, span: ByteRange, connections: Connections) -> None:
        self.span = span
        self._exchange = exchange
        self._left = span.size
        self._connections = connections

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
        self._connections.put_back(self._exchange)


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
        self._locations: dict[Source, Location] = {}
        self._resolving: dict[Source, threading.Lock] = {}
        self._lock = threading.Lock()

    def open(self, source: Source, span: ByteRange, size: int, lifeline: Lifeline) -> ContentStream:
        """Ask for `span` of a file of `size` bytes.

        The stream's own `span` may be the whole file: some servers ignore ranges.

        Raises:
            NotOnHub, AccessDenied: the Hub refuses; trying again is no use.
            LocationExpired: the signed address was refused; it is forgotten.
            TransientHubError: the request failed in a way that may pass.
            Offline: hubfs makes no requests.
        """
        if self._offline:
            raise Offline(f"{source}: not cached, and hubfs is offline")
        location = self._find_location(source)
        if location is None:
            with self._resolve_lock(source):
                location = self._find_location(source)
                if location is None:
                    return self._stream(self._resolve(source, span, lifeline), source, span, size)
        exchange = self._get(location.url, span, lifeline)
        return self._stream(exchange, source, span, size)

    def _resolve(self, source: Source, span: ByteRange, lifeline: Lifeline) -> Exchange:
        """Follow the file's address to its bytes, and remember the last hop."""
        wait = self.limits.wait(BUCKET, time.monotonic())
        if wait:
            raise RateLimited(f"{source}: the Hub's rate limit is reached", retry_after=wait)
        url = urls.content_url(self._endpoint, source)
        for _ in range(LONGEST_CHAIN):
            exchange = self._get(url, span, lifeline)
            following = exchange.headers.get("location")
            if exchange.status not in _REDIRECTS or not following:
                self._remember(source, url)
                return exchange
            url = urljoin(url, following)
            exchange.drain()
            self._connections.put_back(exchange)
        raise ProtocolViolation(f"{source}: redirected in circles")

    def _get(self, url: str, span: ByteRange, lifeline: Lifeline) -> Exchange:
        headers = {
            "Range": f"bytes={span.start}-{span.stop - 1}",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        headers.update(self._credentials.headers_for(url))
        try:
            exchange = self._connections.get(url, headers, lifeline)
        except HubUnreachable as error:
            if not lifeline.is_cut and self._is_at_hub(url):
                self.breaker.note_failure(time.monotonic(), str(error))
            raise
        if self._is_at_hub(url):
            self.breaker.note_success()
            self.limits.note(answers.rate_state(exchange.headers), time.monotonic())
        return exchange

    def _stream(
        self, exchange: Exchange, source: Source, span: ByteRange, size: int
    ) -> ContentStream:
        try:
            if exchange.status not in {200, 206}:
                raise self._refusal(exchange, source)
            sent = sent_span(exchange.status, exchange.headers, span, size, str(source))
        except HubError:
            exchange.close()
            raise
        return ContentStream(exchange, sent, self._connections)

    def _refusal(self, exchange: Exchange, source: Source) -> HubError:
        was_located = self._forget(source)
        if exchange.status == 401 and self._credentials.refresh():
            return LocationExpired(f"{source}: the token has changed")
        if was_located and not self._is_at_hub(exchange.url) and 400 <= exchange.status < 429:
            host = urls.host_of(exchange.url)
            return LocationExpired(f"{source}: {host} answered {exchange.status}")
        error = answers.error_of(exchange.status, exchange.headers, str(source))
        if isinstance(error, RateLimited) and self._is_at_hub(exchange.url):
            self.limits.close(BUCKET, time.monotonic(), error.retry_after)
        return error

    # --- locations ---------------------------------------------------------------------

    def _find_location(self, source: Source) -> Location | None:
        found = self._locations.get(source)
        return found if found and time.time() < found.expires - _EXPIRY_MARGIN else None

    def _remember(self, source: Source, url: str) -> None:
        with self._lock:
            while len(self._locations) >= _MOST_LOCATIONS:
                self._locations.pop(next(iter(self._locations)))
            self._locations[source] = Location(url, urls.expiry_of(url, time.time()))

    def _forget(self, source: Source) -> bool:
        with self._lock:
            return self._locations.pop(source, None) is not None

    def _resolve_lock(self, source: Source) -> threading.Lock:
        with self._lock:
            while len(self._resolving) >= _MOST_LOCATIONS:
                self._resolving.pop(next(iter(self._resolving)))
            return self._resolving.setdefault(source, threading.Lock())

    def _is_at_hub(self, url: str) -> bool:
        return urls.origin_of(url) == self._endpoint_origin

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()


def sent_span(
    status: int, headers: Mapping[str, str], span: ByteRange, size: int, subject: str
) -> ByteRange:
    """Which bytes of the file an answer carries, checked against what was asked. Pure.

    Raises:
        ProtocolViolation: it is encoded, or lies about range or total.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise ProtocolViolation(f"{subject}: the server encoded a body asked for as it is")
    length = headers.get("content-length")
    if status == 200:
        if length is not None and length != str(size):
            raise ProtocolViolation(f"{subject}: the server has {length} bytes, not {size}")
        return ByteRange(0, size)
    found = answers.content_range(headers.get("content-range"))
    if found != (span.start, span.stop, size) or (length or str(span.size)) != str(span.size):
        what = headers.get("content-range")
        raise ProtocolViolation(f"{subject}: asked for {span} of {size}, got {what!r}")
    return span
