"""Tiny disks, and doing bad things to them."""

import os
import subprocess
from pathlib import Path

PAGE = 4096


def as_root(*command: str) -> subprocess.CompletedProcess[str]:
    """Run `command` as root, if this user may."""
    may_need = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    return subprocess.run([*may_need, *command], check=False, capture_output=True, text=True)


def mount_tiny(point: Path) -> str:
    """Mount a file system of one MiB, in memory, of this user's; return what went wrong."""
    options = f"size=1m,mode=700,uid={os.getuid()},gid={os.getgid()}"
    return as_root("mount", "-t", "tmpfs", "-o", options, "hubfs-test", str(point)).stderr


def unmount(point: Path) -> None:
    """Take it away, even if a failed test has left a file open."""
    as_root("umount", "--lazy", str(point)).check_returncode()


def remount_read_only(disk: Path) -> None:
    """From now on nothing can be written."""
    as_root("mount", "-o", "remount,ro", str(disk)).check_returncode()


def remount_writable(disk: Path) -> None:
    """And now it can again."""
    as_root("mount", "-o", "remount,rw", str(disk)).check_returncode()


def fill_up(disk: Path, *, but_for: int = 0) -> Path:
    """Leave `but_for` pages free; return the file to remove to make room again."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(PAGE)) == PAGE:
                pass
        except OSError:
            pass
        file.truncate(file.tell() - but_for * PAGE)
    return filler
