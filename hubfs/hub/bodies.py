"""Bodies of metadata answers: collected and unpacked within bounds. No I/O."""

from __future__ import annotations

import zlib

from hubfs.errors import ProtocolViolation

_PLAIN = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})


class Body:
    """Takes a body in parts as they come, and gives it back whole.

    A part is unpacked no further than the bound allows: a few kilobytes can
    stand for gigabytes.
    """

    def __init__(self, encoding: str, most: int) -> None:
        """Expect at most `most` bytes, packed and unpacked, in `encoding`.

        Raises:
            ProtocolViolation: it is an encoding that was not asked for.
        """
        encoding = encoding.strip().lower()
        if encoding not in _PLAIN | _GZIP:
            raise ProtocolViolation("the answer is encoded in a way that was not asked for")
        self._unpacker = zlib.decompressobj(31) if encoding in _GZIP else None
        self._most = most
        self._came = 0
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        """Take the next part of it.

        Raises:
            ProtocolViolation: it is too long, or not what its encoding says; nothing
                is taken any more.
        """
        self._came += len(part)
        self._check(self._came)
        if self._unpacker is None:
            self._keep(part)
        while self._unpacker is not None and part:
            part = self._unpack(self._unpacker, part)

    def _unpack(self, unpacker: zlib._Decompress, part: bytes) -> bytes:
        """Unpack a part until the bound is passed; return what belongs to the next member."""
        self._check(self.size)  # zlib takes a bound of nothing for none at all
        try:
            self._keep(unpacker.decompress(part, self._most - self.size + 1))
        except zlib.error:
            raise ProtocolViolation("the answer is not gzip, though it says so") from None
        if unpacker.eof and unpacker.unused_data:
            self._unpacker = zlib.decompressobj(31)
            return unpacker.unused_data
        return b""

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        self._check(self.size)
        self._parts.append(data)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise ProtocolViolation("the answer does not end")

    def whole(self) -> bytes:
        """All of it.

        Raises:
            ProtocolViolation: it was cut short.
        """
        if self._unpacker is not None and not self._unpacker.eof:
            raise ProtocolViolation("the answer was cut short")
        return b"".join(self._parts)
