"""The service that answers: imported late, since it brings the whole HTTP stack."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

import trio

from hubfs.control.app import app_of
from hubfs.control.engine import Control
from hubfs.control.guards import TcpRules, guarded
from hubfs.control.serving import Application, Door

log = logging.getLogger(__name__)


class ControlServer:
    """Serves the control API on listening sockets until cancelled."""

    def __init__(self, control: Control) -> None:
        self._application: Application = app_of(control)

    async def run(
        self,
        doors: Sequence[tuple[socket.socket, TcpRules | None]],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve each socket, by its rules if it has any."""
        async with trio.open_nursery() as nursery:
            for listening, rules in doors:
                door = Door(guarded(self._application, rules))
                # The descriptor stays its owner's, who closes and unlinks it.
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening.dup()))
                nursery.start_soon(door.serve, listener)
            task_status.started()
