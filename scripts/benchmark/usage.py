"""What processes use, as /proc tells."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_PROC = Path("/proc")
_BETWEEN_LOOKS = 0.5


@dataclass
class Use:
    """The most of each that was seen. `resident` is the kernel's own peak, in bytes."""

    resident: int = 0
    anonymous: int = 0
    threads: int = 0
    descriptors: int = 0

    def in_words(self) -> str:
        """For a person."""
        kept = f"{self.anonymous >> 20} MiB of it anonymous"
        return f"{kept}, {self.threads} threads, {self.descriptors} descriptors at most"

    def as_details(self) -> dict[str, object]:
        """For a program."""
        return dict(asdict(self))


def family_of(path: Path) -> list[int]:
    """The processes that have `path`, or what is in it, as an argument, and their descendants."""
    parents = {pid: _parent(pid) for pid in _all_pids()}
    found = {pid for pid in parents if _is_told_of(pid, str(path)) and pid != os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def cpu_seconds(pids: list[int]) -> float:
    """The time that processors have spent on `pids` so far."""
    return sum(map(_ticks, pids)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def watched(pids: Callable[[], list[int]]) -> Iterator[Use]:
    """Watch processes within; the result is final afterwards, while they still run."""
    use, over = Use(), threading.Event()

    def look() -> None:
        while not over.wait(_BETWEEN_LOOKS):
            note(use, pids())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield use
    finally:
        over.set()
        watcher.join()
        note(use, pids())


def note(use: Use, pids: list[int]) -> None:
    """Take the present state of `pids` into account."""
    states = [_status(pid) for pid in pids]
    # The sum of their peaks: too much if they peaked one after the other, never too little.
    use.resident = max(use.resident, sum(_kib(state, "VmHWM") for state in states))
    use.anonymous = max(use.anonymous, sum(_kib(state, "RssAnon") for state in states))
    use.threads = max(use.threads, sum(int(state.get("Threads", 0)) for state in states))
    use.descriptors = max(use.descriptors, sum(map(_descriptors, pids)))


def _kib(state: dict[str, str], name: str) -> int:
    return int(state.get(name, "0 kB").split()[0]) << 10


def _status(pid: int) -> dict[str, str]:
    with contextlib.suppress(OSError):
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def _ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        # The name, in parentheses, may contain anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # of user and of system
    return 0


def _descriptors(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(_PROC / str(pid) / "fd"))  # noqa: PTH208 - only their number
    return 0


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int:
    return int(_status(pid).get("PPid", 0))


def _is_told_of(pid: int, path: str) -> bool:
    with contextlib.suppress(OSError):
        arguments = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        values = [each.partition("=")[2] if each[:2] == "--" else each for each in arguments]
        return any(each == path or each.startswith(f"{path}/") for each in values)
    return False
