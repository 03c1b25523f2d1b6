"""SIGHUP: the log file is opened anew, configuration is read again, and what can be taken is."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from hubfs.config import Settings
from hubfs.config.resolving import Sources, settings_from
from hubfs.config.sources import Layer
from hubfs.daemon.logs import Log
from hubfs.daemon.notify import Notifier
from hubfs.errors import UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """What another reading of the configuration brought."""

    layer: Layer
    """What holds from now on."""
    taken: tuple[str, ...]
    left: tuple[str, ...]
    """What would need a remount, and stays as it was."""


def changes_between(before: Layer, after: Layer) -> Changes:
    """What a running daemon can take of `after`, and what it cannot. Pure."""
    changed = [name for name in after if after[name].value != before[name].value]
    taken = tuple(name for name in changed if after[name].setting.is_reloaded)
    left = tuple(name for name in changed if name not in taken)
    return Changes({**before, **{name: after[name] for name in taken}}, taken, left)


class Reloading:
    """A service. A file that cannot be right changes nothing, and is told of in one line."""

    def __init__(self, sources: Sources, layer: Layer, mountpoint: Path | None, sink: Log) -> None:
        """Begin with `layer`, which is what `sources` have said; the log goes to `sink`."""
        self._sources = sources
        self._layer = layer
        self._mountpoint = mountpoint
        self._sink = sink

    async def run(
        self,
        take: Callable[[Settings], None],
        notifier: Notifier,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; `take` is given what the sources come to say."""
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                notifier.reloading()
                self._reopen_log()
                try:
                    self.reload(take)
                except Exception:
                    log.exception("a bug in taking new settings")
                notifier.ready()

    def _reopen_log(self) -> None:
        try:
            self._sink.reopen()
        except OSError as error:
            log.warning("the log goes on in the old file: %s", error)

    def reload(self, take: Callable[[Settings], None]) -> None:
        """Read the sources again, and let `take` have what can be taken."""
        try:
            changes = changes_between(self._layer, self._sources.combined())
        except UsageError as error:
            said = f"{error}; {error.hint}" if error.hint else str(error)
            log.warning("the settings stay as they were: %s", said)
            return
        self._layer = changes.layer
        settings = settings_from(self._layer, self._mountpoint)
        take(settings)
        self._sink.take(settings.log)
        _tell(changes)


def _tell(changes: Changes) -> None:
    taken = [f"{name} = {changes.layer[name].shown}" for name in changes.taken]
    log.info("reloaded: %s", ", ".join(taken) or "nothing to change")
    if changes.left:
        log.warning("these settings need a remount: %s", ", ".join(changes.left))
