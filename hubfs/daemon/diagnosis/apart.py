"""Checks, each in a process of its own: one that crashes or hangs ends alone.

A mount whose server is gone holds whoever touches it, and a damaged index can
end a process that maps it. A process can be left behind; a thread could not.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, NoReturn

from hubfs.daemon.diagnosis.verdicts import Level, Verdict, wrong
from hubfs.errors import HubfsError

_REPORT: Final = "please report it, with what `hubfs doctor --json` says"


@dataclass(frozen=True, slots=True)
class Check:
    """Something to find out within `limit` seconds."""

    name: str
    limit: float
    work: Callable[[], Iterable[Verdict]]


def carried_out(checks: Sequence[Check]) -> Iterator[list[Verdict]]:
    """The verdicts of each of `checks`, in their order, as they come; all of them work at once.

    Call it from a process without threads: it forks.
    """
    children = []
    try:
        children += [_Child(check) for check in checks]
        for child in children:
            yield child.verdicts()
    finally:
        for child in children:
            child.end()


class _Child:
    """A process that carries out one check."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._deadline = time.monotonic() + check.limit
        self._pipe, writing_end = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _work(check, writing_end)
        os.close(writing_end)
        # A group of its own, so that whatever it started ends with it.
        with contextlib.suppress(OSError):
            os.setpgid(self._pid, self._pid)

    def verdicts(self) -> list[Verdict]:
        """Wait for what it says, no longer than it may take."""
        said = bytearray()
        while True:
            left = max(0.0, self._deadline - time.monotonic())
            if not select.select([self._pipe], [], [], left)[0]:
                text = f"no end within {self._check.limit:g} s"
                return [wrong(self._check.name, text, "something it looks at does not answer")]
            part = os.read(self._pipe, 65536)
            if not part:
                return self._read(said)
            said += part

    def _read(self, said: bytearray) -> list[Verdict]:
        try:
            return [Verdict(**{**each, "level": Level(each["level"])}) for each in json.loads(said)]
        except ValueError:
            return [wrong(self._check.name, "the check itself crashed", _REPORT)]

    def end(self) -> None:
        """See to it that nothing of it goes on; one that the kernel holds is left behind."""
        os.close(self._pipe)
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self._pid, os.WNOHANG)


def _work(check: Check, pipe: int) -> NoReturn:
    """The life of a child: nothing of the parent's is flushed, closed or undone."""
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        _silence()
        try:
            verdicts = list(check.work())
        except HubfsError as error:
            verdicts = [wrong(check.name, str(error), error.hint)]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            verdicts = [wrong(check.name, f"the check failed: {_text(error)}", _REPORT)]
        os.write(pipe, json.dumps([asdict(each) for each in verdicts]).encode())
    finally:
        os._exit(0)


def _silence() -> None:
    """What libraries print would stand between the verdicts."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
