"""Bytes of READs on their way past libfuse: labels go through its socket, bytes do not.

A megabyte is too much for a message on a socket, and would be copied there and
back. So pyfuse3 answers a READ with a label that says where the bytes are, and
the relay's thread brings them to the kernel itself.
"""

from __future__ import annotations

import itertools
import struct
from typing import Final

from hubfs.store.reading import Extent

_LABEL: Final = struct.Struct("<iQQ")  # descriptor, offset, size; or -1, key, 0
_NO_FILE: Final = -1


class Parcels:
    """Bytes that are in no file, by key. Written by the event loop, read by the relay's thread."""

    def __init__(self) -> None:
        self._kept: dict[int, bytes] = {}
        self._keys = itertools.count(1)

    def label(self, located: Extent | bytes) -> bytes:
        """What to answer in place of the bytes."""
        if isinstance(located, Extent):
            return _LABEL.pack(*located)
        key = next(self._keys)
        self._kept[key] = located
        return _LABEL.pack(_NO_FILE, key, 0)

    def open(self, label: memoryview) -> Extent | bytes:
        """What the label stands for; it can be opened once."""
        descriptor, offset, size = _LABEL.unpack_from(label)
        if descriptor == _NO_FILE:
            return self._kept.pop(offset)
        return Extent(descriptor, offset, size)
