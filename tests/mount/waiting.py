"""Waiting for what another process does and no event tells of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds that nothing takes on the busiest machine; only a failing test waits so long."""


def wait_until(is_reached: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Look again and again until it is so.

    Raises:
        TimeoutError: it was not so in time.
    """
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while not is_reached():
        if time.monotonic() > deadline:
            raise TimeoutError
        never.wait(0.01)
