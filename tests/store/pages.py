"""What of a file is in the page cache."""

from __future__ import annotations

import ctypes
import mmap


def pieces_in_memory(descriptor: int, piece: int) -> list[bool]:
    """For each `piece` bytes of a file, whether any page of them is in memory."""
    with mmap.mmap(
        descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
    ) as view:
        pages = (ctypes.c_ubyte * (len(view) // mmap.PAGESIZE))()
        start = ctypes.addressof(ctypes.c_char.from_buffer(view))
        found = ctypes.CDLL(None).mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(view)), pages)
    assert found == 0
    step = piece // mmap.PAGESIZE
    return [any(page & 1 for page in pages[at : at + step]) for at in range(0, len(pages), step)]
