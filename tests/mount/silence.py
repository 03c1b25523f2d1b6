"""Hubs that say nothing: the worst outage, since nobody is told of it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from tests.localhub import LocalHub


@contextlib.contextmanager
def mute(hub: LocalHub) -> Iterator[Callable[[], int]]:
    """Within, the Hub takes connections and never answers; say how many it has taken."""
    with contextlib.ExitStack() as stack, _in_place_of(hub, backlog=1000) as server:

        def count() -> int:
            server.setblocking(False)
            taken = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    stack.enter_context(server.accept()[0])
                    taken += 1
            return taken

        yield count


@contextlib.contextmanager
def deaf(hub: LocalHub) -> Iterator[None]:
    """Within, whatever is sent to the Hub is lost, as behind a firewall."""
    with _in_place_of(hub, backlog=0) as server, contextlib.ExitStack() as fillers:
        # The kernel drops what knocks at a port whose queue is full and never taken from.
        while _is_heard(server, fillers):
            pass
        yield


@contextlib.contextmanager
def _in_place_of(hub: LocalHub, backlog: int) -> Iterator[socket.socket]:
    parts = urlsplit(hub.endpoint)
    hub.down()
    with socket.create_server((parts.hostname or "", parts.port or 0), backlog=backlog) as server:
        yield server
    hub.up()


def _is_heard(server: socket.socket, fillers: contextlib.ExitStack) -> bool:
    try:
        fillers.enter_context(socket.create_connection(server.getsockname(), timeout=0.2))
    except TimeoutError:
        return False
    return True
