"""Whatever befalls a check, the others are carried out and something is said of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import NoReturn

import pytest

from hubfs.daemon.diagnosis.apart import Check, carried_out
from hubfs.daemon.diagnosis.verdicts import Level, Verdict, fine, noted
from hubfs.errors import StoreFull

# The command forks before it has threads; a test's process has some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def well() -> Iterator[Verdict]:
    yield fine("well", "all is")
    yield noted("well", "but not quite", "do this")


def crash() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def hang() -> NoReturn:
    while True:
        time.sleep(60)


def fail() -> NoReturn:
    raise RuntimeError("out of luck\nand of words")


def refuse() -> NoReturn:
    raise StoreFull("there is no room", hint="make some")


def chat() -> list[Verdict]:
    os.write(1, b"between the lines")
    return [fine("chat", "over")]


def test_each_check_ends_alone_and_is_told_in_order() -> None:
    works = [well, crash, hang, fail, refuse, chat]
    checks = [Check(work.__name__, 0.5 if work is hang else 60, work) for work in works]
    told = [verdict for verdicts in carried_out(checks) for verdict in verdicts]
    assert [(each.check, each.level) for each in told] == [
        ("well", Level.OK),
        ("well", Level.NOTE),
        ("crash", Level.PROBLEM),
        ("hang", Level.PROBLEM),
        ("fail", Level.PROBLEM),
        ("refuse", Level.PROBLEM),
        ("chat", Level.OK),
    ]
    assert told[1].advice == "do this"
    assert "crashed" in told[2].finding
    assert "no end within 0.5 s" in told[3].finding
    assert told[4].finding == "the check failed: RuntimeError: out of luck"
    assert told[5] == Verdict("refuse", Level.PROBLEM, "there is no room", "make some")


def test_nothing_of_a_check_that_hangs_goes_on() -> None:
    reading, writing = os.pipe()

    def linger() -> NoReturn:
        if os.fork():
            hang()
        hang()

    assert len(list(carried_out([Check("linger", 0.2, linger)]))) == 1
    os.close(writing)
    assert os.read(reading, 1) == b"", "the child, or its child, holds the other end"
    os.close(reading)
