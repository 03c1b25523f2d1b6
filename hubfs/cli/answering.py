"""Who answers for a cache: a daemon, or the engine of a command."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from hubfs.config import Settings
from hubfs.control.client import Client
from hubfs.control.sockets import short_address


@contextlib.contextmanager
def client_of(settings: Settings) -> Iterator[Client | None]:
    """A client of whoever answers for the cache; None if nobody does."""
    with short_address(settings.cache_dir) as address:
        if address is None:
            yield None
            return
        with contextlib.closing(Client(address)) as client:
            yield client


def is_answered(settings: Settings, seconds: float = 0.0) -> bool:
    """Whether somebody answers for the cache, now or within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        with short_address(settings.cache_dir) as address:
            if address is not None or time.monotonic() >= deadline:
                return address is not None
        time.sleep(0.1)
