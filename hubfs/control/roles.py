"""What an engine is there for, and so how long it stays."""

from __future__ import annotations

import enum


class Role(enum.StrEnum):
    """`mount`: until unmounted. `jobs`: until none is left. `command`: until that one ends."""

    MOUNT = "mount"
    JOBS = "jobs"
    COMMAND = "command"
