"""Who is let go of a request: the dying, and those told to stop while they look up a name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hubfs.fuse.interrupts import decide, should_leave
from hubfs.fuse.wire import Opcode


def mask(*signals: signal.Signals) -> str:
    return f"{sum(1 << each - 1 for each in signals):016x}"


def status(**fields: str) -> dict[str, str]:
    nothing = dict.fromkeys(("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"), mask())
    return {"State": "D (disk sleep)", **nothing, **fields}


@pytest.mark.parametrize("is_name_request", [True, False])
def test_who_is_killed_leaves(is_name_request: bool) -> None:
    killed = status(SigPnd=mask(signal.SIGKILL))
    assert decide(killed, is_name_request=is_name_request)


def test_a_harmless_signal_interrupts_nothing() -> None:
    for harmless in (signal.SIGALRM, signal.SIGCHLD, signal.SIGPROF, signal.SIGURG):
        assert not decide(status(ShdPnd=mask(harmless)), is_name_request=True)


def test_a_handled_stop_interrupts_a_lookup_but_never_a_read() -> None:
    handled = status(ShdPnd=mask(signal.SIGINT), SigCgt=mask(signal.SIGINT))
    assert decide(handled, is_name_request=True)
    assert not decide(handled, is_name_request=False)


def test_an_unhandled_stop_interrupts_a_read_too() -> None:
    assert decide(status(ShdPnd=mask(signal.SIGQUIT)), is_name_request=False)


def test_ignored_and_blocked_stops_interrupt_nothing() -> None:
    stop = mask(signal.SIGTERM)
    assert not decide(status(ShdPnd=stop, SigIgn=stop), is_name_request=True)
    assert not decide(status(ShdPnd=stop, SigBlk=stop), is_name_request=True)


def test_a_living_process_stays_and_a_dead_one_leaves() -> None:
    assert not should_leave(os.getpid(), Opcode.READ)
    child = subprocess.Popen(["true"])
    child.wait()
    assert should_leave(child.pid, Opcode.READ)


def test_nothing_is_known_of_who_is_in_another_pid_namespace() -> None:
    assert not should_leave(0, Opcode.LOOKUP)


def test_a_name_that_is_cut_in_the_middle_of_a_letter_is_no_trouble() -> None:
    code = r"import sys; open('/proc/self/comm', 'wb').write(b'\xd0'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert not should_leave(child.pid, Opcode.READ)
        child.kill()
