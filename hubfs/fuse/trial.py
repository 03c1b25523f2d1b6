"""Whether the kernel passes reads through to a file: tried, on a mount of a moment."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hubfs.errors import MountFailed
from hubfs.fuse import device, wire
from hubfs.fuse.backing import Backings, KernelRegistrar

_LARGEST_REQUEST: Final = (1 << 20) + 8192
_ANSWERED_WITHIN: Final = 5.0


def refusal_of(file: Path) -> str:
    """Why the kernel would not read `file` by itself; empty if it would. For root.

    Raises:
        MountFailed: it cannot be tried.
        OSError: `file` cannot be opened.
    """
    opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="hubfs-trial-") as place,
            _mounted(Path(place)) as kernel,
        ):
            return _tried(kernel, opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _mounted(place: Path) -> Iterator[int]:
    kernel = device.mount(place, "trial", subtype="hubfs-trial", allow_other=False)
    try:
        yield kernel
    finally:
        # The kernel fails whatever somebody may have asked meanwhile.
        os.close(kernel)
        device.detach(place)


def _tried(kernel: int, file: int) -> str:
    if not select.select([kernel], [], [], _ANSWERED_WITHIN)[0]:
        raise MountFailed("the kernel says nothing to a new mount")
    request = memoryview(os.read(kernel, _LARGEST_REQUEST))
    if not wire.offers_passthrough(request):
        return "it has no FUSE passthrough"
    os.write(kernel, wire.init_answer(request))
    return Backings(KernelRegistrar(kernel)).attempt(file)
