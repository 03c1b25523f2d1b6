"""Doing bad things to disks."""

import subprocess
from pathlib import Path

PAGE = 4096


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


def remount_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
