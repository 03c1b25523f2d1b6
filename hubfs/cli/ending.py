"""How a command ends that is told to: by Ctrl-C, or by a signal that means the same.

A command with an engine of its own has a cache to give back and a socket to take
away, so SIGTERM and SIGHUP unwind it as Ctrl-C does. Only the exit code differs.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """A signal has come that ends a program."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """What a shell reports of a program that the signal ended: 130 after Ctrl-C."""
    number = interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT
    return 128 + number


@contextlib.contextmanager
def terminable(*numbers: signal.Signals) -> Iterator[None]:
    """Raise `Terminated` in the main thread when one of the signals comes, within, but once.

    One that is ignored stays so, as under nohup.
    """
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] is not signal.SIG_IGN]

    def end(number: int, _: FrameType | None) -> NoReturn:
        _ignore(*heard)  # a terminal that is closed may say it twice
        raise Terminated(number)

    try:
        for number in heard:
            signal.signal(number, end)
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


@contextlib.contextmanager
def deaf_at_the_end(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore the signals from the end of it on: what unwinds then is not to be broken off."""
    try:
        yield
    finally:
        _ignore(*numbers)


@contextlib.contextmanager
def deaf_to(number: signal.Signals) -> Iterator[None]:
    """Ignore a signal within."""
    before = signal.getsignal(number)
    _ignore(number)
    try:
        yield
    finally:
        signal.signal(number, before)


def _ignore(*numbers: signal.Signals) -> None:
    for number in numbers:
        signal.signal(number, lambda *_: None)  # SIG_IGN a program that is begun would inherit
