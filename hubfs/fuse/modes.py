"""How a mount is read: by the kernel itself, or by the daemon; and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hubfs.config import Passthrough

Way = Literal["passthrough", "relay"]


@dataclass(frozen=True, slots=True)
class Mode:
    """By which way bytes come: from the kernel itself, or through the daemon's `relay`."""

    way: Way
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides it. `refusal` is why the kernel took no file of the cache, empty if it did."""

    wish: Passthrough
    is_privileged: bool
    has_kernel: bool
    refusal: str


def mode_of(standing: Standing) -> Mode:
    """The mode, and the reason for it in a few words."""
    if standing.wish is Passthrough.OFF:
        return Mode("relay", "--passthrough off")
    if not standing.is_privileged:
        return Mode("relay", "passthrough needs root (CAP_SYS_ADMIN)")
    if not standing.has_kernel:
        return Mode("relay", "this kernel has no FUSE passthrough: it came with Linux 6.9")
    if standing.refusal:
        return Mode("relay", f"the kernel refuses this cache: {standing.refusal}")
    return Mode("passthrough", "the kernel reads complete files by itself")
