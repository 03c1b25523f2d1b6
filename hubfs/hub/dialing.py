"""From a host's name to a connected socket: the first of its addresses that answers.

Addresses are tried a quarter of a second apart (RFC 8305), so that a network
that loses one family of them costs that much and not a timeout.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

from hubfs.hub.lifeline import Lifeline

STAGGER = 0.25

Place = tuple[socket.AddressFamily, Any]  # the family, and an address as the library has it


def places_of(host: str, port: int) -> list[Place]:
    """The addresses of `host`, the families by turns. Blocks, and nothing can end it.

    Raises:
        OSError: there are none.
    """
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("no such host") from None
    return interleaved([(family, place) for family, _, _, _, place in found])


def interleaved(places: Sequence[Place]) -> list[Place]:
    """The same, with neighbours of different families as far as possible."""
    families: dict[socket.AddressFamily, list[Place]] = {}
    for place in places:
        families.setdefault(place[0], []).append(place)
    return [each for each in chain(*zip_longest(*families.values())) if each]


def dial(places: Sequence[Place], lifeline: Lifeline, patience: float) -> socket.socket:
    """A socket connected to one of `places`, in blocking mode.

    Raises:
        OSError: none of them answered within `patience` seconds.
        HubUnreachable: `lifeline` was cut.
    """
    race = _Race(places)
    deadline = time.monotonic() + patience
    try:
        while not race.is_lost:
            lifeline.check()
            if time.monotonic() >= deadline:
                raise TimeoutError("no connection came about")
            race.start_one()
            winner = race.wait()
            if winner is not None:
                return winner
        raise race.error
    finally:
        race.close()


class _Race:
    """Connections under way to several places."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.error = OSError("no address")
        self._waiting = deque(places)
        self._running: dict[int, socket.socket] = {}
        self._poll = select.poll()

    @property
    def is_lost(self) -> bool:
        return not self._waiting and not self._running

    def start_one(self) -> None:
        if not self._waiting:
            return
        family, place = self._waiting.popleft()
        try:
            opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:  # the kernel lacks the family
            self.error = error
            return
        self._running[opened.fileno()] = opened
        code = opened.connect_ex(place)
        if code in {0, errno.EINPROGRESS}:
            self._poll.register(opened, select.POLLOUT)
        else:
            self._fail(opened, code)

    def wait(self) -> socket.socket | None:
        """Wait until it is time to start another; the winner, if there is one."""
        if not self._running:
            return None
        for descriptor, _ in self._poll.poll(STAGGER * 1000):
            opened = self._running[descriptor]
            code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                del self._running[descriptor]
                opened.setblocking(True)  # noqa: FBT003 - the library's own signature
                return opened
            self._poll.unregister(opened)
            self._fail(opened, code)
        return None

    def _fail(self, opened: socket.socket, code: int) -> None:
        self.error = OSError(code, os.strerror(code))
        del self._running[opened.fileno()]
        opened.close()

    def close(self) -> None:
        for each in self._running.values():
            each.close()
