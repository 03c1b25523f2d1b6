"""Blocking HTTP connections for contents, one request at a time each, kept for reuse.

Everything here runs in worker threads, which receive without the GIL and copy
once: several times cheaper than any asynchronous client in Python. A
`Lifeline` lets another thread end whatever one of them waits for.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from hubfs.errors import HubError, HubUnreachable, NoConnection, UsageError
from hubfs.hub.dialing import dial, places_of
from hubfs.hub.exchange import Exchange, unreachable
from hubfs.hub.lifeline import Lifeline
from hubfs.hub.proxies import Proxies, proxy_headers
from hubfs.hub.tls import tls_context
from hubfs.hub.urls import Origin, host_of, origin_of, port_of
from hubfs.hub.wire import Wire

__all__ = ["Connections", "Exchange", "Lifeline"]

IDLE_LIFETIME = 20.0  # servers and balancers drop idle connections after 30 s and more
MOST_IDLE = 32
LONGEST_CONNECT = 10.0


class _Idle(NamedTuple):
    since: float
    origin: Origin
    wire: Wire


class Connections:
    """The connections of one process, by origin. Thread-safe."""

    def __init__(self, idle_timeout: float = 30.0) -> None:
        """Give up on a peer that sends next to nothing for `idle_timeout` seconds."""
        self._idle_timeout = idle_timeout
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._most_idle = MOST_IDLE
        self._context: ssl.SSLContext | None = None
        self._proxies = Proxies()

    # --- asking ------------------------------------------------------------------------

    def get(self, url: str, headers: Mapping[str, str], lifeline: Lifeline) -> Exchange:
        """Send a GET and wait for the head of its answer.

        Raises:
            HubUnreachable: no answer, or `lifeline` was cut.
            ProtocolViolation: an answer that is not HTTP.
        """
        try:
            return self._get(url, headers, lifeline)
        except UsageError as error:  # the environment's proxy or certificates are no use
            raise HubUnreachable(str(error), hint=error.hint) from error

    def _get(self, url: str, headers: Mapping[str, str], lifeline: Lifeline) -> Exchange:
        proxy = self._proxies.find(url)
        while (wire := self._take(origin_of(url))) is not None:
            exchange = Exchange(wire, url, lifeline, self._idle_timeout)
            try:
                return _ask(exchange, headers, proxy)
            except HubUnreachable:
                # The server may have ended it at this moment: that says nothing of the server.
                if not exchange.is_unanswered or lifeline.is_cut:
                    raise
        wire = self._connect(url, proxy, lifeline)
        return _ask(Exchange(wire, url, lifeline, self._idle_timeout), headers, proxy)

    def _connect(self, url: str, proxy: SplitResult | None, lifeline: Lifeline) -> Wire:
        hop = proxy or urlsplit(url)
        patience = min(LONGEST_CONNECT, self._idle_timeout)
        try:
            places = places_of(hop.hostname or "", port_of(hop))
            wire = Wire(dial(places, lifeline, patience))
        except TimeoutError as error:
            raise unreachable(hop.geturl(), error) from error
        except OSError as error:
            raise unreachable(hop.geturl(), error, NoConnection) from error
        try:
            lifeline.attach(wire.socket)
            self._secure(wire, url, proxy, lifeline)
        except BaseException:
            lifeline.detach()
            wire.close()
            raise
        return wire

    def _secure(self, wire: Wire, url: str, proxy: SplitResult | None, lifeline: Lifeline) -> None:
        target = urlsplit(url)
        if target.scheme != "https":
            return
        if proxy is not None:
            self._open_tunnel(wire, target, proxy, lifeline)
        deadline = time.monotonic() + self._idle_timeout
        try:
            wire.start_tls(self._tls(), target.hostname or "", deadline)
        except OSError as error:
            lifeline.check()
            raise unreachable(url, error) from error

    def _open_tunnel(
        self, wire: Wire, target: SplitResult, proxy: SplitResult, lifeline: Lifeline
    ) -> None:
        host = target.hostname or ""
        place = f"[{host}]:{port_of(target)}" if ":" in host else f"{host}:{port_of(target)}"
        exchange = Exchange(wire, proxy.geturl(), lifeline, self._idle_timeout)
        exchange.ask("CONNECT", place, {"host": place} | proxy_headers(proxy))
        if not 200 <= exchange.status < 300:
            raise _refused_by(proxy, exchange.status)

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            self._context = self._context or tls_context()
            return self._context

    # --- keeping -----------------------------------------------------------------------

    def put_back(self, exchange: Exchange) -> None:
        """Keep the connection for another request if it can serve one, else close it."""
        if not exchange.is_reusable:
            exchange.close()
            return
        exchange.detach()
        now = time.monotonic()
        with self._lock:
            self._idle.append(_Idle(now, origin_of(exchange.url), exchange.wire))
            stale = self._without_stale(now)
        for each in stale:
            each.wire.close()

    def _without_stale(self, now: float) -> list[_Idle]:
        """Drop from the idle ones those that are too old or too many, and return them."""
        fresh = [each for each in self._idle if now - each.since <= IDLE_LIFETIME]
        fresh = fresh[max(0, len(fresh) - self._most_idle) :]
        stale = [each for each in self._idle if each not in fresh]
        self._idle = fresh
        return stale

    def _take(self, origin: Origin) -> Wire | None:
        """The idle connection to `origin` that was used last, if it is still whole."""
        with self._lock:
            stale = self._without_stale(time.monotonic())
            found = [each for each in self._idle if each.origin == origin]
            self._idle = [each for each in self._idle if each.origin != origin]
            while found and not found[-1].wire.is_quiet:
                stale.append(found.pop())
            taken = found.pop().wire if found else None
            self._idle += found
        for each in stale:
            each.wire.close()
        return taken

    def close(self) -> None:
        """Close the idle ones; what is put back later, by threads that end late, is closed too."""
        with self._lock:
            idle, self._idle, self._most_idle = self._idle, [], 0
        for each in idle:
            each.wire.close()


def _ask(exchange: Exchange, headers: Mapping[str, str], proxy: SplitResult | None) -> Exchange:
    target = urlsplit(exchange.url)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    sent = {"host": host_of(exchange.url), **headers}
    # Through a proxy only TLS is tunnelled; plain requests name their whole address instead.
    if proxy is not None and target.scheme == "http":
        path = f"http://{host_of(exchange.url)}{path}"
        sent |= proxy_headers(proxy)
    try:
        exchange.ask("GET", path, sent)
    except BaseException:
        exchange.close()
        raise
    return exchange


def _refused_by(proxy: SplitResult, status: int) -> HubError:
    host = host_of(proxy.geturl())
    hint = "name it as http://user:password@host:port" if status == 407 else ""
    return HubUnreachable(f"the proxy {host} answered {status}", hint=hint)
