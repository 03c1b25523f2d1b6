"""Blocking HTTP connections for contents, one request at a time each, kept for reuse.

Bodies are received with `http.client`'s `readinto`, which waits without the
GIL and copies once: several times cheaper than any asynchronous client in
Python. Everything here runs in worker threads; a `Lifeline` lets another
thread end whatever one of them is waiting for.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from hubfs.errors import HubUnreachable
from hubfs.hub.tls import tls_context
from hubfs.hub.urls import Origin, host_of, origin_of

IDLE_LIFETIME = 20.0  # servers and balancers drop idle connections after 30 s and more
MOST_IDLE = 16


class Lifeline:
    """Ends a blocking exchange from another thread, at any point of its life."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_cut = False

    def attach(self, connected: socket.socket | None) -> None:
        """Say which socket the exchange waits on now.

        Raises:
            HubUnreachable: it has been cut already.
        """
        with self._lock:
            self._socket = connected
            if self.is_cut:
                raise HubUnreachable("the request was given up")

    def cut(self) -> None:
        """Wake the thread that waits; it fails with HubUnreachable."""
        with self._lock:
            self.is_cut = True
            if self._socket is not None:
                # Not SSLSocket.shutdown: that one drops the TLS state under the reading thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Exchange:
    """One answered request; its body is still on the wire."""

    def __init__(
        self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, url: str
    ) -> None:
        self._connection = connection
        self._answer = answer
        self.url = url
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    def readinto(self, buffer: memoryview) -> int:
        """Receive up to `len(buffer)` bytes of the body; 0 at its end.

        Raises:
            HubUnreachable: the connection broke, stalled, or was cut.
        """
        with _translated(self.url):
            return self._answer.readinto(buffer)

    def drain(self, most: int = 64 << 10) -> None:
        """Take a short body off the wire, so that the connection can be used again."""
        buffer = memoryview(bytearray(min(most, 16 << 10)))
        while most > 0 and (count := self.readinto(buffer)):
            most -= count

    @property
    def is_reusable(self) -> bool:
        """Whether the whole body has been received and the server keeps the connection."""
        return self._answer.isclosed() and not self._answer.will_close

    def close(self) -> None:
        """End it and its connection."""
        self._answer.close()
        self._connection.close()


class Connections:
    """The connections of one process, by origin. Thread-safe."""

    def __init__(self, idle_timeout: float = 30.0) -> None:
        """Give up on a peer that sends nothing for `idle_timeout` seconds."""
        self._idle_timeout = idle_timeout
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[tuple[float, http.client.HTTPConnection]]] = defaultdict(list)

    def get(self, url: str, headers: Mapping[str, str], lifeline: Lifeline) -> Exchange:
        """Send a GET and wait for the head of its answer.

        Raises:
            HubUnreachable: no answer, or `lifeline` was cut.
        """
        idle = self._take(origin_of(url))
        if idle is not None:
            # The server may have closed it meanwhile: such a failure says nothing of the server.
            with contextlib.suppress(HubUnreachable):
                return self._send(idle, url, headers, lifeline)
            lifeline.attach(None)
        return self._send(self._connect(url, lifeline), url, headers, lifeline)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        url: str,
        headers: Mapping[str, str],
        lifeline: Lifeline,
    ) -> Exchange:
        try:
            with _translated(url):
                lifeline.attach(connection.sock)
                connection.request("GET", _target(url, connection), headers=dict(headers))
                return Exchange(connection, connection.getresponse(), url)
        except BaseException:
            connection.close()
            raise

    def put_back(self, exchange: Exchange) -> None:
        """Keep the connection for another request if it can serve one, else close it."""
        if not exchange.is_reusable:
            exchange.close()
            return
        now = time.monotonic()
        with self._lock:
            idle = self._idle[origin_of(exchange.url)]
            idle.append((now, exchange._connection))  # noqa: SLF001 - its other half
            stale = [each for since, each in idle if now - since > IDLE_LIFETIME]
            idle[:] = [each for each in idle if now - each[0] <= IDLE_LIFETIME]
            stale += [idle.pop(0)[1] for _ in range(len(idle) - MOST_IDLE)]
        for connection in stale:
            connection.close()

    def _take(self, origin: Origin) -> http.client.HTTPConnection | None:
        with self._lock:
            idle = self._idle[origin]
            since, connection = idle.pop() if idle else (0.0, None)
        if connection is None or time.monotonic() - since <= IDLE_LIFETIME:
            return connection
        connection.close()
        return None

    def _connect(self, url: str, lifeline: Lifeline) -> http.client.HTTPConnection:
        with _translated(url):
            connection = _Connector(url, self._idle_timeout, lifeline).connection()
            connection.connect()
        return connection

    def close(self) -> None:
        """Close the idle ones."""
        with self._lock:
            idle, self._idle = self._idle, defaultdict(list)
        for each in idle.values():
            for _, connection in each:
                connection.close()


class _Connector:
    """Builds the connection to an address: direct or through the environment's proxy."""

    def __init__(self, url: str, timeout: float, lifeline: Lifeline) -> None:
        self._target = urlsplit(url)
        self._timeout = timeout
        self._lifeline = lifeline
        self._proxy = find_proxy(url)

    def connection(self) -> http.client.HTTPConnection:
        is_tls = self._target.scheme == "https"
        host, port = self._target.hostname or "", self._target.port
        hop = self._proxy or self._target
        # Through a proxy only TLS is tunnelled; plain requests name their whole address instead.
        if is_tls and (not self._proxy or self._proxy.scheme == "http"):
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                hop.hostname or "", hop.port, timeout=self._timeout, context=tls_context()
            )
        else:
            connection = http.client.HTTPConnection(
                hop.hostname or "", hop.port, timeout=self._timeout
            )
        if self._proxy and is_tls:
            connection.set_tunnel(host, port or 443, headers=proxy_headers(self._proxy))
        connection._create_connection = self._open  # type: ignore[attr-defined] # noqa: SLF001
        return connection

    def _open(
        self, address: tuple[str, int], timeout: float | None = None, source: object = None
    ) -> socket.socket:
        """As `socket.create_connection`, but the lifeline holds the socket while it connects."""
        del source
        last: OSError | None = None
        for family, kind, protocol, _, place in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            opened = socket.socket(family, kind, protocol)
            try:
                self._lifeline.attach(opened)
                opened.settimeout(min(10.0, timeout or 10.0))
                opened.connect(place)
            except OSError as error:
                opened.close()
                last = error
                continue
            except HubUnreachable:
                opened.close()
                raise
            opened.settimeout(timeout)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        raise last or OSError(f"no address for {address[0]}")


def find_proxy(url: str) -> SplitResult | None:
    """The proxy that the environment names for `url`, by the rules of curl and urllib.

    Raises:
        HubUnreachable: the proxy is of a kind that this path cannot speak to.
    """
    target = urlsplit(url)
    proxies = getproxies_environment()
    named = proxies.get(target.scheme) or proxies.get("all")
    if not named or proxy_bypass_environment(target.hostname or ""):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise HubUnreachable(
            f"the proxy named for {target.scheme} is of kind {proxy.scheme!r}",
            hint="contents are fetched through http:// proxies only",
        )
    return proxy


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """What the proxy wants to see of the credentials in its address."""
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _target(url: str, connection: http.client.HTTPConnection) -> str:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_proxied = connection.host != parts.hostname and parts.scheme == "http"
    return f"{parts.scheme}://{parts.netloc}{path}" if is_proxied else path


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError):
            reason = "nothing came for too long"
        else:
            reason = str(error) or type(error).__name__
        raise HubUnreachable(f"{host_of(url)} cannot be reached: {reason}") from error
