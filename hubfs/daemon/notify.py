"""What systemd wants to know of a service: ready, reloading, stopping. sd_notify(3)."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Tells who started this process with Type=notify; nobody, if it was not started so."""

    def __init__(self, status: str, environment: Mapping[str, str] = os.environ) -> None:
        """`status` is what there is to say while all is well."""
        self._status = status
        self._address = _address_of(environment.get("NOTIFY_SOCKET", ""))

    def ready(self) -> None:
        """The mount answers; also the end of a reload."""
        self._tell("READY=1", f"STATUS={self._status}")

    def reloading(self) -> None:
        """Settings are being read again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1", "STATUS=unmounting")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # systemd will see what becomes of us
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.sendto("\n".join(lines).encode(), self._address)


def _address_of(text: str) -> str:
    """A path, or an abstract name, which systemd writes with an `@`."""
    return "\0" + text[1:] if text.startswith("@") else text
