"""Whether a program whose request was interrupted should be let go.

The kernel reports every signal, harmless ones too, and an interrupted page
fault ends in SIGBUS: only who is about to die, or was told to stop while it
looked up a name, is answered EINTR.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Final

from hubfs.fuse.wire import Opcode

_STOPS: Final = sum(
    1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
)
_KILL: Final = 1 << signal.SIGKILL - 1


def should_leave(pid: int, opcode: int) -> bool:
    """Whether task `pid` must not be kept waiting for its request any longer.

    Of a task in a foreign PID namespace (0, such as a reader outside of a container) nobody knows,
    nor of another user's where /proc is mounted with `hidepid`.
    """
    if not pid:
        return False
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")  # its name may be cut
    except OSError:
        return not _exists(pid)
    masks = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return decide(masks, is_name_request=opcode in {Opcode.LOOKUP, Opcode.OPEN})


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def decide(status: dict[str, str], *, is_name_request: bool) -> bool:
    """The same over the fields of `/proc/PID/status`. Pure."""
    pending = _mask(status, "SigPnd") | _mask(status, "ShdPnd")
    if pending & _KILL or status.get("State", "").startswith(("Z", "X")):
        return True
    # A signal that ends the process is pending as SIGKILL in each of its threads once one took
    # it; those that dump core are not, hence the look at handlers.
    stops = pending & _STOPS & ~_mask(status, "SigIgn") & ~_mask(status, "SigBlk")
    return bool(stops if is_name_request else stops & ~_mask(status, "SigCgt"))


def _mask(status: dict[str, str], name: str) -> int:
    return int(status.get(name, "0"), 16)
