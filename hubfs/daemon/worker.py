"""An engine without a mount, for as long as a command needs one.

It runs in a thread of its own and answers the control API like any daemon, so
commands speak to it, and other commands find it, in the very same way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from types import TracebackType
from typing import Self

import trio

from hubfs.config import Settings
from hubfs.control.roles import Role
from hubfs.control.webhooks import Webhooks
from hubfs.daemon.controlling import Controlling, opened
from hubfs.daemon.engine import Engine, built, services
from hubfs.jobs.queue import JobQueue

log = logging.getLogger(__name__)

FIRST_JOB_WITHIN = 30.0
TOLD_WITHIN = 10.0


class Worker:
    """Within it the cache is owned and answered for; jobs of the past wait to be asked for.

    Those in the background, which nobody asks for again, go on where `role` is to do them. After
    it, `left` are those of them that have not ended, and could be gone on with now.

    A second Ctrl-C, while it ends, ends the process under it: like any crash,
    that loses no byte that was durable.
    """

    def __init__(self, settings: Settings, role: Role) -> None:
        """Work with `settings`."""
        self.left: list[int] = []
        self._settings = settings
        self._role = role
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._is_decided = threading.Event()
        self._has_ended = threading.Event()
        self._error: BaseException | None = None
        self._stop: trio.CancelScope | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._engine: Engine | None = None
        self._webhooks: Webhooks | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._is_decided.wait()
        except BaseException:  # an interrupt: what has begun is still ended in order
            self._is_decided.wait()
            self.__exit__(None, None, None)
            raise
        if self._error is not None:
            self.join()
            raise self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None and not self._has_ended.is_set():
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(trio.lowlevel.spawn_system_task, self._finish)
        self.join()

    def join(self) -> None:
        """Wait until it has nothing to do any more."""
        # Before Python 3.13, a thread whose `join` is interrupted is taken for ended (bpo-45274).
        self._has_ended.wait()
        self._thread.join()

    def end_when_idle(self, linger: float) -> None:
        """From now on, end when no job has been left for `linger` seconds."""
        assert self._token is not None  # noqa: S101 - within
        self._token.run_sync_soon(trio.lowlevel.spawn_system_task, self._watch, linger)

    async def _watch(self, linger: float) -> None:
        assert self._engine is not None  # noqa: S101 - within
        is_idle = False
        while not is_idle:
            await _until_idle(self._engine.jobs, linger)
            await self._tell()
            is_idle = self._engine.jobs.is_idle  # or more has come meanwhile
        self._end()

    async def _finish(self) -> None:
        await self._tell()
        self._end()

    async def _tell(self) -> None:
        """Wait until those who are to be told of the last jobs have been."""
        assert self._webhooks is not None  # noqa: S101 - within
        with trio.move_on_after(TOLD_WITHIN):
            await self._webhooks.wait_until_idle()

    def _end(self) -> None:
        assert self._engine is not None  # noqa: S101 - within
        assert self._stop is not None  # noqa: S101 - within
        self._engine.stop()
        self._stop.cancel()

    # --- in the thread -----------------------------------------------------------------

    def _work(self) -> None:
        try:
            settings, role = self._settings, self._role
            with built(settings, role) as engine, opened(settings, engine, role) as control:
                trio.run(self._serve, engine, control)
                self.left = _left_in(engine, settings)
        except BaseException as error:  # raised in the thread that waits, as long as one does
            self._error = error
            if self._is_decided.is_set():
                log.exception("a bug: the engine has ended")
        finally:
            self._is_decided.set()
            self._has_ended.set()

    async def _serve(self, engine: Engine, control: Controlling) -> None:
        async with services(engine) as nursery:
            self._engine = engine
            self._webhooks = control.webhooks
            self._stop = nursery.cancel_scope
            self._token = trio.lowlevel.current_trio_token()
            await nursery.start(control.run)
            self._is_decided.set()


def _left_in(engine: Engine, settings: Settings) -> list[int]:
    """What is left to do in the background, if another engine of this user could do it."""
    store = engine.store
    is_ours = store.directory.stat().st_uid == os.geteuid()
    can_go_on = is_ours and not settings.offline and not store.is_read_only
    return engine.jobs.left_in_background if can_go_on else []


async def _until_idle(jobs: JobQueue, linger: float) -> None:
    """Wait until a job has come and no more follow; or until none comes at all."""
    patience = max(linger, FIRST_JOB_WITHIN)
    with jobs.watching() as watcher:
        while True:
            with trio.move_on_after(patience):
                await watcher.changes()
                patience = linger
                continue
            if jobs.is_idle:
                return
