"""A daemon in the background: started apart, watched until it is ready, then left alone."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from hubfs.errors import HubfsError, MountFailed, UnfitMountpoint, UsageError
from hubfs.store.files import make_private_directory, writing

READY = "ready"
# The kinds of failure by which a command exits in another way; all others are one here.
_KINDS = {kind.__name__: kind for kind in (UnfitMountpoint, UsageError)}


def start(arguments: list[str], log_file: Path) -> int:
    """Run `hubfs ARGUMENTS` in a session of its own and wait until it says that it is ready.

    Returns its process id.

    Raises:
        StoreError: `log_file` cannot be written.
        HubfsError: it ended instead; the text is its own, and so is that it was misused.
    """
    make_private_directory(log_file.parent)
    with writing(log_file):
        log = log_file.open("ab")
    reading_end, writing_end = os.pipe()
    with log:
        child = subprocess.Popen(
            [sys.executable, "-m", "hubfs", *arguments, "--ready-fd", str(writing_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing_end],
            start_new_session=True,
        )
    os.close(writing_end)
    with os.fdopen(reading_end) as pipe:
        answer = pipe.read()
    if answer == READY:
        child.returncode = 0  # it outlives this process: not ours to wait for
        return child.pid
    child.wait()
    if not answer:
        raise MountFailed("the daemon ended before it was ready", hint=f"see {log_file}")
    kind, message, hint = answer.split("\n", 2)
    raise _KINDS.get(kind, HubfsError)(message, hint=hint)


class Readiness:
    """The daemon's end: one answer for the process that started it, if one waits."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def announce(self) -> None:
        """All is well. Raises: as `check_awaited`."""
        self.check_awaited()
        self._answer(READY)

    def refuse(self, error: HubfsError) -> bool:
        """It is not; say why. Returns whether there is anybody who has been told."""
        kinds = (each.__name__ for each in type(error).__mro__)
        kind = next((each for each in kinds if each in _KINDS), "")
        message = str(error).replace("\n", " ")
        return self._answer(f"{kind}\n{message}\n{error.hint}")

    def check_awaited(self) -> None:
        """See to it that whoever started this process still waits for its answer.

        Raises:
            HubfsError: they have ended, and so shall the daemon.
        """
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, 0)  # that nobody reads any more is told all the same
            if poll.poll(0):
                raise HubfsError("the command that started this daemon has ended")

    def _answer(self, text: str) -> bool:
        if self._descriptor is None:
            return False
        try:
            os.write(self._descriptor, text.encode())
        except BrokenPipeError:
            return False
        finally:
            os.close(self._descriptor)
            self._descriptor = None
        return True
