"""File systems in memory, of any size, that can grow."""

from __future__ import annotations

import os
from pathlib import Path

from tests.store.disks import as_root


def mount_in_memory(point: Path, megabytes: int) -> str:
    """Mount a file system of so many MiB, of this user's; return what went wrong."""
    options = f"size={megabytes}m,mode=700,uid={os.getuid()},gid={os.getgid()}"
    return as_root("mount", "-t", "tmpfs", "-o", options, "hubfs-test", str(point)).stderr


def resize(point: Path, megabytes: int) -> None:
    """Give it another size."""
    as_root("mount", "-o", f"remount,size={megabytes}m", str(point)).check_returncode()
