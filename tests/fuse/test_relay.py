"""The relay between a kernel and a libfuse that are this test."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hubfs.fuse import wire
from hubfs.fuse.relay import Relay
from hubfs.fuse.wire import Opcode
from hubfs.store.reading import Extent

DATA = os.urandom(100_000)
AT_HAND, LATER, ALSO_AT_HAND = 1, 2, 3
SECONDS = 10


class Handles:
    """A tree of open files: of one no bytes are at hand, of the others all."""

    is_short_of_memory = False

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def backing_descriptor(self, _: int) -> int | None:
        return None

    def source_of(self, handle: int) -> str:
        return str(handle)

    def at_hand(self, handle: int, offset: int, size: int) -> Extent | None:
        return Extent(self.descriptor, offset, size) if handle != LATER else None

    def is_frozen_directory(self, _: int) -> bool:
        return False


class Ends:
    """The kernel's end and libfuse's of one relay."""

    def __init__(self, descriptor: int) -> None:
        self.kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.relay = Relay(device.detach(), Handles(descriptor), passthrough=False)
        self.library = socket.socket(fileno=self.relay.endpoint)
        for end in (self.kernel, self.library):
            end.settimeout(SECONDS)
        self.relay.start(lambda: None)

    def ask(self, unique: int, handle: int, offset: int, size: int) -> None:
        body = wire.READ_IN.pack(handle, offset, size) + bytes(20)
        head = wire.IN_HEADER.pack(40 + len(body), Opcode.READ, unique, 7, 0, 0, os.getpid())
        self.kernel.send(head + body)

    def answer(self) -> tuple[int, int, bytes]:
        """The error, the unique and the body of what the kernel is told next."""
        message = self.kernel.recv(1 << 20)
        length, error, unique = wire.OUT_HEADER.unpack_from(message)
        assert length == len(message)
        return error, unique, message[wire.OUT_HEADER.size :]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    (tmp_path / "blob").write_bytes(DATA)
    with (tmp_path / "blob").open("rb") as blob:
        ends = Ends(blob.fileno())
        yield ends
        ends.kernel.close()
        ends.library.close()
        ends.relay.close()


def test_bytes_at_hand_are_brought_without_asking_anybody(ends: Ends) -> None:
    for unique, (offset, size) in enumerate([(0, 10), (4096, 65536), (99_990, 10)], start=2):
        ends.ask(unique, AT_HAND, offset, size)
        assert ends.answer() == (0, unique, DATA[offset : offset + size])
    ends.library.setblocking(False)
    with pytest.raises(BlockingIOError):
        ends.library.recv(1 << 20)


def test_bytes_of_several_readers_are_brought_by_other_threads(ends: Ends) -> None:
    wanted = {}
    for unique in range(2, 40):
        offset = unique * 1000
        wanted[unique] = (0, unique, DATA[offset : offset + 5000])
        ends.ask(unique, AT_HAND if unique % 2 else ALSO_AT_HAND, offset, 5000)
    answers = [ends.answer() for _ in wanted]
    assert {answer[1]: answer for answer in answers} == wanted


def test_a_file_that_is_cut_under_a_reader_is_an_error(ends: Ends) -> None:
    ends.ask(2, AT_HAND, len(DATA) - 5, 10)
    assert ends.answer() == (-errno.EIO, 2, b"")


def test_for_other_bytes_libfuse_is_asked_and_its_label_followed(ends: Ends) -> None:
    ends.ask(2, LATER, 10, 20)
    request = memoryview(ends.library.recv(1 << 20))
    assert wire.request_of(request).unique == 2
    assert wire.READ_IN.unpack_from(request, wire.IN_HEADER.size) == (LATER, 10, 20)
    label = ends.relay.parcels.label(b"some bytes")
    ends.library.send(wire.data_header(2, len(label)) + label)
    assert ends.answer() == (0, 2, b"some bytes")


def test_after_the_end_nothing_is_read_any_more(ends: Ends) -> None:
    """Descriptors are closed by then, and their numbers may be those of other files."""
    ends.ask(2, AT_HAND, 0, 10)
    ends.answer()
    ends.relay.close()
    for unique, handle in ((4, AT_HAND), (6, AT_HAND), (8, ALSO_AT_HAND)):
        with suppress(OSError):
            ends.ask(unique, handle, 0, 10)
    with pytest.raises((OSError, struct.error)):
        ends.answer()
