"""Where and with what it was measured."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scripts.benchmark.processes import ROOT

_PACKAGES = ("hubfs", "pyfuse3", "trio", "httpx", "lmdb", "huggingface_hub", "safetensors")
_PROGRAMS = {
    "libfuse": ("pkg-config", "--modversion", "fuse3"),
    "curl": ("curl", "--version"),
    "rclone": ("rclone", "version"),
    "file": ("file", "--version"),
    "find": ("find", "--version"),
    "commit": ("git", "describe", "--always", "--dirty"),
}


def machine(scratch: Path) -> dict[str, object]:
    """What the figures depend on, besides hubfs."""
    return {
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": _line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "disk": _said("findmnt", "-no", "FSTYPE,SOURCE", "-T", str(scratch)),
        "load": round(os.getloadavg()[0], 1),
        "root": os.getuid() == 0,
    }


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"python": platform.python_version(), "executable": sys.executable}
    found |= dict(_package_versions())
    said = {name: _said(*command) for name, command in _PROGRAMS.items()}
    said["curl"] = " ".join(said["curl"].split()[:2])  # it goes on to name all its libraries
    return found | said


def _package_versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def _line(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""


def _said(*command: str) -> str:
    """The first line that a program prints; nothing if it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return ""
    return " ".join(done.stdout.partition("\n")[0].split())
