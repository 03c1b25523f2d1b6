"""What the scheduler is told of a thread."""

from __future__ import annotations

import os
import platform
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hubfs.fuse.promptness import be_prompt


def turn() -> float:
    """The length of the calling thread's turns in nanoseconds, if this kernel tells (6.12)."""
    lines = Path(f"/proc/self/task/{threading.get_native_id()}/sched").read_text().splitlines()
    found = [line.split(":")[1] for line in lines if line.startswith("se.slice")]
    return float(found[0]) if found else 0.0


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_prompt_thread_has_short_turns_and_keeps_its_niceness() -> None:
    def look() -> tuple[bool, float, int]:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness() + 5)
        return be_prompt(), turn(), niceness()

    with ThreadPoolExecutor(1) as pool:
        was_told, turn_of_it, niceness_of_it = pool.submit(look).result()
    assert was_told == (platform.machine() in {"x86_64", "aarch64", "riscv64"})
    assert niceness_of_it == niceness() + 5
    assert turn_of_it < turn() or not turn() or not was_told


def test_a_machine_whose_call_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubfs.fuse.promptness._NUMBER", None)
    assert not be_prompt()


def test_a_thread_of_another_policy_keeps_it() -> None:
    def look() -> tuple[bool, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return be_prompt(), os.sched_getscheduler(0)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(look).result() == (False, os.SCHED_BATCH)
