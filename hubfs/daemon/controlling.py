"""The control API as a service of an engine: its doors opened early, its stack loaded late.

Whoever owns the cache answers for it, mounted or not. The sockets listen from
the start, but what is heavy is loaded when somebody knocks, who waits for it:
it would slow down what programs do just after mounting.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial as bind
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import trio

from hubfs.config import ControlSettings, Settings
from hubfs.config.addresses import parse_address
from hubfs.control import troubles
from hubfs.control.guards import TcpRules
from hubfs.control.roles import Role
from hubfs.control.sockets import listening, listening_tcp
from hubfs.control.webhooks import Webhooks, check_webhook
from hubfs.daemon.engine import Engine
from hubfs.errors import StoreFull, UsageError
from hubfs.fuse.modes import Mode

if TYPE_CHECKING:
    from hubfs.control.engine import Control
    from hubfs.control.parts import Parts
    from hubfs.control.server import ControlServer

log = logging.getLogger(__name__)

LIVE_FILES: Final = ("status", "status.json", "jobs.json", "version")

Doors = list[tuple[socket.socket, TcpRules | None]]
ModeOf = Callable[[], Mode | None]


class Controlling:
    """A service. An error of its own ends it alone: the mount goes on."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        doors: Doors,
        kept: troubles.Troubles,
        mode: ModeOf,
        *,
        role: Role,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._doors = doors
        self._troubles = kept
        self._mode = mode
        self._role = role
        self.webhooks = Webhooks(engine.jobs, _with_usable_webhook(settings.control))
        self._made: Control | None = None
        self._making = threading.Lock()
        self._write_live_files()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started at once, since early callers wait in the backlog."""
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                if self._settings.control.webhook_secret:
                    await nursery.start(self.webhooks.run)
                await _caller_at(self._doors)
                server = await trio.to_thread.run_sync(self._server)
                await server.run(self._doors)
        except Exception:
            log.exception("a bug: the control API is not served any more")

    def _server(self) -> ControlServer:
        from hubfs.control.server import ControlServer  # noqa: PLC0415 - takes a second and 40 MB

        return ControlServer(self._control())

    def _control(self) -> Control:
        """What answers; made once, when it is asked for."""
        from hubfs.control.engine import Control  # noqa: PLC0415 - a part of the same
        from hubfs.control.parts import Parts  # noqa: PLC0415 - a part of the same

        with self._making:
            made = self._made = self._made or Control(self._parts(Parts))
            return made

    def _parts(self, kind: type[Parts]) -> Parts:
        engine, mountpoint = self._engine, self._settings.mountpoint
        return kind(
            settings=self._settings,
            mountpoint=str(mountpoint) if mountpoint else None,
            store=engine.store,
            catalog=engine.catalog,
            api=engine.api,
            syncer=engine.syncer,
            fetcher=engine.fetcher,
            evictor=engine.evictor,
            jobs=engine.jobs,
            scrubber=engine.scrubber,
            troubles=self._troubles,
            mode=self._mode,
            role=self._role,
        )

    # --- files in the mount ------------------------------------------------------------

    def _write_live_files(self) -> None:
        """Let `.hubfs` say what the API says."""
        for name in LIVE_FILES:
            self._engine.live.writers[name] = bind(self._live_file, name)

    async def _live_file(self, name: str) -> bytes:
        if name == "version":
            return version("hubfs").encode() + b"\n"
        control = await trio.to_thread.run_sync(self._control)
        from hubfs.control import livefiles  # noqa: PLC0415 - a part of the same

        writers = {
            "status": livefiles.status_text,
            "status.json": livefiles.status_json,
            "jobs.json": livefiles.jobs_json,
        }
        return await writers[name](control)


async def _caller_at(doors: Doors) -> None:
    """Wait until somebody knocks: what nobody asks for takes no time and no memory."""

    async def wait_at(door: socket.socket) -> None:
        await trio.lowlevel.wait_readable(door)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for door, _ in doors:
            nursery.start_soon(wait_at, door)


def _with_usable_webhook(settings: ControlSettings) -> ControlSettings:
    """`settings`, without a webhook that cannot be told.

    Whoever mounts has been refused it. A command that only looks, of a user who may not read the
    secret, say, is not to fail for it.
    """
    try:
        if settings.webhook:
            check_webhook(settings.webhook, settings)
    except UsageError as error:
        log.warning("no webhook is told of jobs: %s", error)
        return replace(settings, webhook="")
    return settings


@contextlib.contextmanager
def opened(
    settings: Settings, engine: Engine, role: Role, mode: ModeOf = lambda: None
) -> Iterator[Controlling]:
    """The service of `engine`, with its doors open within.

    Raises:
        UsageError: the address to listen at cannot be right.
    """
    doors: Doors = []
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(troubles.kept())
        if settings.control.http:
            host, port = parse_address(settings.control.http)
            rules = TcpRules(host, settings.control.token)
            doors.append((stack.enter_context(listening_tcp(host, port)), rules))
        try:
            doors.append((stack.enter_context(listening(settings.cache_dir)), None))
        except StoreFull as error:
            log.warning("commands cannot reach this daemon: %s", error)
        yield Controlling(settings, engine, doors, kept, mode, role=role)
