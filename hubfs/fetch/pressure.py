"""How short of memory the machine is: what was fetched ahead sits in it until it is read."""

from __future__ import annotations

from pathlib import Path

_LEVELS = ((0.03, 4), (0.06, 2), (0.10, 1))  # below this share available: halve windows so often


def pressure_of(meminfo: str) -> int:
    """How many times to halve what is fetched ahead, from the text of `/proc/meminfo`. Pure."""
    lines = (line.split() for line in meminfo.splitlines())
    fields = {parts[0]: int(parts[1]) for parts in lines if len(parts) >= 2}
    total, available = fields.get("MemTotal:", 0), fields.get("MemAvailable:", 0)
    if not total:
        return 0
    return next((level for share, level in _LEVELS if available < share * total), 0)


def current_pressure() -> int:
    """The pressure now; 0 where it cannot be told."""
    try:
        return pressure_of(Path("/proc/meminfo").read_text())
    except (OSError, ValueError):
        return 0
