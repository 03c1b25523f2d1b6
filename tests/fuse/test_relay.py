"""The relay between a kernel and a libfuse that are this test."""

from __future__ import annotations

import errno
import os
import queue
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hubfs.config import Ownership
from hubfs.errors import StaleHandle
from hubfs.fs.attributes import Attributes, NodeType, absent
from hubfs.fuse import wire
from hubfs.fuse.relay import ALONE, Relay
from hubfs.fuse.stats import permissions_of
from hubfs.fuse.wire import Opcode
from hubfs.store.reading import Extent

DATA = os.urandom(100_000)
DIRECTORY, FILE = 7, 8
NAMES = {
    (DIRECTORY, b"a file"): Attributes(FILE, NodeType.FILE, 1025, 1_700_000_000.25, 60.5, 3600.0),
    (DIRECTORY, b"none"): absent(60.0),
}
PERMISSIONS = permissions_of(Ownership(uid=3, gid=4, umask=0o077))
# Of linux/fuse.h: struct fuse_attr, and what comes before it in answers to LOOKUP and GETATTR.
ATTR = "QQQQQQIIIIIIIIII"
ENTRY_OUT, ATTR_OUT = "<QQQQII" + ATTR, "<QII" + ATTR
OF_FILE = (
    *(FILE, 1025, 3),
    *[1_700_000_000] * 3,
    *[250_000_000] * 3,
    *(stat.S_IFREG | 0o400, 1, 3, 4, 0, 4096, 0),
)
AT_HAND, LATER, ALSO_AT_HAND = 1, 2, 3
SECONDS = 10


class Handles:
    """A tree of open files: of one no bytes are at hand, of the others all."""

    is_short_of_memory = False

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.noted: list[tuple[int, int, int]] = []

    def backing_descriptor(self, _: int) -> int | None:
        return None

    def source_of(self, handle: int) -> str:
        return str(handle)

    def known_entry(self, parent: int, name: bytes) -> Attributes | None:
        return NAMES.get((parent, name))

    def known_attributes(self, inode: int) -> Attributes | None:
        return next((each for each in NAMES.values() if each.inode == inode), None)

    def at_hand(self, handle: int, offset: int, size: int) -> Extent | None:
        return Extent(self.descriptor, offset, size) if handle != LATER else None

    def note_read(self, handle: int, extent: Extent) -> None:
        self.noted.append((handle, extent.offset, extent.size))

    def is_frozen_directory(self, _: int) -> bool:
        return False


class Ends:
    """The kernel's end and libfuse's of one relay."""

    def __init__(self, descriptor: int) -> None:
        self.kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.device = device.detach()
        self.tree = Handles(descriptor)
        self.relay = Relay(self.device, self.tree, PERMISSIONS, passthrough=False)
        self.library = socket.socket(fileno=self.relay.endpoint)
        for end in (self.kernel, self.library):
            end.settimeout(SECONDS)
        self.relay.start(lambda: None)

    def ask(self, unique: int, handle: int, offset: int, size: int) -> None:
        self.send(Opcode.READ, unique, FILE, wire.READ_IN.pack(handle, offset, size) + bytes(20))

    def send(self, opcode: int, unique: int, node: int, body: bytes) -> None:
        head = wire.IN_HEADER.pack(40 + len(body), opcode, unique, node, 0, 0, os.getpid())
        self.kernel.send(head + body)

    def passed_on(self) -> wire.Request:
        """What libfuse is asked next."""
        return wire.request_of(memoryview(self.library.recv(1 << 20)))

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
        wanted[unique] = (0, unique, DATA[offset : offset + 500])
        ends.ask(unique, AT_HAND if unique % 2 else ALSO_AT_HAND, offset, 500)
    answers = [ends.answer() for _ in wanted]
    assert {answer[1]: answer for answer in answers} == wanted


def test_one_that_reads_alone_for_long_is_served_in_order(ends: Ends) -> None:
    for unique in range(2, 3 * ALONE):
        ends.ask(unique, AT_HAND, unique, 500)
        assert ends.answer() == (0, unique, DATA[unique : unique + 500])


def test_what_was_read_is_told_to_the_tree_once(ends: Ends) -> None:
    reads = [(AT_HAND, at, 10) for at in range(2 * ALONE)] + [(ALSO_AT_HAND, 0, 10)]
    for unique, read in enumerate(reads, start=2):
        ends.ask(unique, *read)
        ends.answer()
    deadline = time.monotonic() + SECONDS
    while len(ends.tree.noted) < len(reads) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(ends.tree.noted) == sorted(reads)


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


def test_a_name_in_a_repo_is_looked_up_without_libfuse(ends: Ends) -> None:
    ends.send(Opcode.LOOKUP, 2, DIRECTORY, b"a file\0")
    error, unique, body = ends.answer()
    assert (error, unique) == (0, 2)
    assert struct.unpack(ENTRY_OUT, body) == (FILE, 0, 60, 3600, 500_000_000, 0, *OF_FILE)


def test_a_name_that_is_not_in_a_repo_is_remembered_as_a_miss(ends: Ends) -> None:
    ends.send(Opcode.LOOKUP, 2, DIRECTORY, b"none\0")
    error, unique, body = ends.answer()
    assert (error, unique) == (0, 2)
    assert struct.unpack(ENTRY_OUT, body)[:6] == (0, 0, 60, 60, 0, 0)


def test_attributes_in_a_repo_are_told_without_libfuse(ends: Ends) -> None:
    ends.send(Opcode.GETATTR, 2, FILE, bytes(16))
    error, unique, body = ends.answer()
    assert (error, unique) == (0, 2)
    assert struct.unpack(ATTR_OUT, body) == (3600, 0, 0, *OF_FILE)


def test_what_is_not_known_of_a_repo_libfuse_is_asked(ends: Ends) -> None:
    ends.send(Opcode.LOOKUP, 2, DIRECTORY, b"unknown\0")
    assert ends.passed_on()[:3] == (Opcode.LOOKUP, 2, DIRECTORY)
    ends.send(Opcode.GETATTR, 4, 99, bytes(16))
    assert ends.passed_on()[:3] == (Opcode.GETATTR, 4, 99)


def test_a_tree_that_fails_libfuse_is_asked_so_that_it_says_why(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StaleHandle("the index does not know it any more")

    monkeypatch.setattr(Handles, "known_entry", fail)
    monkeypatch.setattr(Handles, "known_attributes", fail)
    ends.send(Opcode.LOOKUP, 2, DIRECTORY, b"a file\0")
    assert ends.passed_on()[:2] == (Opcode.LOOKUP, 2)
    ends.send(Opcode.GETATTR, 4, FILE, bytes(16))
    assert ends.passed_on()[:2] == (Opcode.GETATTR, 4)


@pytest.mark.parametrize("opcode", [*wire.Change, 25, 39, 46, 999])
def test_what_is_not_served_is_refused_at_once(ends: Ends, opcode: int) -> None:
    """Libfuse would answer FLUSH, IOCTL and LSEEK itself, and look for no room to do so."""
    ends.send(opcode, 2, FILE, bytes(64))
    expected = errno.EROFS if opcode in [*wire.Change] else errno.ENOSYS
    assert ends.answer() == (-expected, 2, b"")


def test_after_the_end_no_thread_takes_another_file_for_the_device(ends: Ends) -> None:
    ends.relay.close()
    assert Path(f"/proc/self/fd/{ends.device}").samefile(os.devnull)


def test_one_that_was_never_started_leaves_nothing_open() -> None:
    kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = device.detach()
    relay = Relay(number, Handles(0), PERMISSIONS, passthrough=False)
    os.close(relay.endpoint)
    relay.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    kernel.close()


def test_after_the_end_the_device_is_closed_once_nobody_uses_it(ends: Ends) -> None:
    ends.kernel.close()
    ends.relay.close()
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/self/fd/{ends.device}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/self/fd/{ends.device}").exists()


def test_a_request_that_finds_no_room_waits_for_some(ends: Ends) -> None:
    """Libfuse's socket is full: what comes then is not lost, and comes in order."""
    count = 20_000  # more than its buffer takes

    def send() -> None:
        for unique in range(2, 2 + count):
            ends.send(Opcode.LOOKUP, unique, DIRECTORY, b"x" * 200 + b"\0")

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(0.2)
    assert [ends.passed_on().unique for _ in range(count)] == [*range(2, 2 + count)]
    sender.join()


def test_after_the_end_nothing_is_read_any_more(ends: Ends) -> None:
    """Descriptors are closed by then, and their numbers may be those of other files."""
    ends.ask(2, AT_HAND, 0, 10)
    ends.answer()
    ends.relay.close()
    ends.send(Opcode.LOOKUP, 10, DIRECTORY, b"a file\0")
    for unique, handle in ((4, AT_HAND), (6, AT_HAND), (8, ALSO_AT_HAND)):
        with suppress(OSError):
            ends.ask(unique, handle, 0, 10)
    with pytest.raises((OSError, struct.error)):
        ends.answer()


@pytest.mark.parametrize("is_in_memory", [True, False])
def test_where_memory_is_short_what_was_read_is_not_kept_twice(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, *, is_in_memory: bool
) -> None:
    dropped: queue.SimpleQueue[Extent] = queue.SimpleQueue()
    monkeypatch.setattr("hubfs.fuse.relay.drop_behind", dropped.put)
    if not is_in_memory:
        monkeypatch.setattr("hubfs.fuse.relay.read_nowait", lambda *_: False)
    ends.tree.is_short_of_memory = True
    ends.ask(2, AT_HAND, 10, 20)
    assert ends.answer() == (0, 2, DATA[10:30])
    assert dropped.get(timeout=SECONDS)[1:] == (10, 20)
