"""Numbers as people read them. Pure."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def counted(count: int, one: str, many: str = "") -> str:
    """`1 repo`, `2 repos`; `many` is for what takes no mere s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def size_text(count: float) -> str:
    """Bytes as people read them: `1.4 GiB`."""
    at = 0
    while abs(count) >= 1024 and at < len(_UNITS) - 1:
        count, at = count / 1024, at + 1
    return f"{count:.0f} B" if at == 0 else f"{count:.1f} {_UNITS[at]}"
