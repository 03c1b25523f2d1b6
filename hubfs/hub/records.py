"""The records of TLS, taken apart: many in a call where OpenSSL can be reached, else each."""

from __future__ import annotations

import ssl
from typing import Protocol

from hubfs.hub import openssl


class Records(Protocol):
    """What has come for a client whose handshake is done."""

    def read(self, buffer: memoryview) -> tuple[int, bool]:
        """Take what is here into `buffer`; how much it was, and whether no more will come.

        A connection that ends without TLS's goodbye is over too: HTTP's own lengths tell
        whether it came too early.

        Raises:
            ssl.SSLError: What came is no TLS, or was changed on its way.
        """

    @property
    def has_unread(self) -> bool:
        """Whether bytes have come that nobody has read, taken apart or not yet."""


class EachRecord:
    """By way of Python's own `ssl` module, a call for each record."""

    def __init__(self, tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> None:
        self._tls, self._incoming = tls, incoming

    def read(self, buffer: memoryview) -> tuple[int, bool]:
        """As of `Records`."""
        filled = 0
        try:
            while filled < len(buffer):
                # Typeshed believes that this returns bytes even when it fills a buffer.
                count: int = self._tls.read(len(buffer) - filled, buffer[filled:])  # type: ignore[assignment]
                if not count:
                    return filled, True
                filled += count
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:
            return filled, True
        return filled, False

    @property
    def has_unread(self) -> bool:
        """As of `Records`."""
        return bool(self._tls.pending() or self._incoming.pending)


def records_of(client: openssl.Client, incoming: ssl.MemoryBIO) -> Records:
    """Read what comes for `client`, which has shaken hands, by `incoming`."""
    library = openssl.library()
    if library is None or client.pointer is None:
        return EachRecord(client.tls, incoming)
    return openssl.Chain(library, client)
