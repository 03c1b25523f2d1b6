"""What is mounted where, as Linux tells it in /proc/PID/mountinfo (proc(5)). Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One mount; `device` is major:minor."""

    mountpoint: str
    device: str
    type: str
    source: str

    @property
    def st_dev(self) -> int:
        """The device as stat(2) says it; on Btrfs, a subvolume's is another."""
        major, minor = map(int, self.device.split(":"))
        return os.makedev(major, minor)


def mounts_in(data: bytes) -> list[MountEntry]:
    """All mounts of a mountinfo, oldest first."""
    found = []
    for line in os.fsdecode(data).split("\n")[:-1]:
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        found.append(MountEntry(_unescaped(fields[4]), fields[2], tail[0], _unescaped(tail[1])))
    return found


def _unescaped(field: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
