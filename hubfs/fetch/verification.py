"""Hashing a content while it arrives, in order, from the file it is written to."""

from __future__ import annotations

import hashlib

from hubfs.errors import ContentMismatch
from hubfs.model.content import MIB, Content
from hubfs.store.reading import read_into

STEP = MIB // 2  # small enough for the processor to hash it out of its cache


class RollingHash:
    """The hash of a content's first `position` bytes. One thread at a time."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.position = 0
        self._sha256 = hashlib.sha256(usedforsecurity=False)
        self._git = None
        if not content.sha256:
            self._git = hashlib.sha1(b"blob %d\0" % content.size, usedforsecurity=False)

    def advance(self, descriptor: int, stop: int) -> None:
        """Take in the bytes up to `stop` from `descriptor`. Blocks; lets other threads run.

        Raises:
            StoreDamaged: the file cannot be read.
        """
        buffer = memoryview(bytearray(max(0, min(STEP, stop - self.position))))
        while self.position < stop:
            part = buffer[: min(STEP, stop - self.position)]
            read_into(descriptor, self.position, part)
            self.update(part)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes."""
        self._sha256.update(data)
        if self._git:
            self._git.update(data)
        self.position += len(data)

    def verified(self) -> str:
        """The sha256 of the whole content.

        Raises:
            ContentMismatch: the bytes are not what the listing promised.
        """
        sha256 = self._sha256.hexdigest()
        if self._git and self._git.hexdigest() != self._content.git_oid:
            raise ContentMismatch(
                f"bytes with git id {self._git.hexdigest()} came for {self._content.git_oid}"
            )
        if self._content.sha256 and sha256 != self._content.sha256:
            raise ContentMismatch(f"bytes with sha256 {sha256} came for {self._content.sha256}")
        return sha256


def check_whole(content: Content, data: bytes | bytearray) -> None:
    """Check bytes that were never written to a file.

    Raises:
        ContentMismatch: they are not what the listing promised.
    """
    rolling = RollingHash(content)
    rolling.update(data)
    rolling.verified()
