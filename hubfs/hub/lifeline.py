"""Ending, from another thread, whatever a thread waits for on the network."""

from __future__ import annotations

import contextlib
import socket
import threading

from hubfs.errors import HubUnreachable


class Lifeline:
    """Ends a blocking exchange from another thread, at any point of its life.

    The thread that waits attaches the socket it waits on, and detaches it
    before it closes it or lets another exchange have it. Waits without a
    socket ask `check` now and then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_cut = False

    def attach(self, connected: socket.socket) -> None:
        """Say which socket the exchange waits on now.

        Raises:
            HubUnreachable: it has been cut already.
        """
        with self._lock:
            self.check()
            self._socket = connected

    def detach(self) -> None:
        """The socket is not the exchange's any more: a later cut leaves it alone."""
        with self._lock:
            self._socket = None

    def check(self) -> None:
        """Go on only if it has not been cut.

        Raises:
            HubUnreachable: it has.
        """
        if self.is_cut:
            raise HubUnreachable("the request was given up")

    def cut(self) -> None:
        """Wake the thread that waits; it fails with HubUnreachable."""
        with self._lock:
            self.is_cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
