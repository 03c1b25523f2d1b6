"""What the kernel is told: errnos for failures, true attributes; and when: if there is room."""

from __future__ import annotations

import errno
import inspect
import logging
import os
import socket
import stat
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
import trio.testing

from hubfs.config import Ownership
from hubfs.errors import AccessDenied, FetchStopped, HubUnreachable, NoSuchAttribute
from hubfs.fs.attributes import FOREVER, Attributes, NodeType, absent
from hubfs.fuse import brief, wire
from hubfs.fuse.operations import Operations
from hubfs.fuse.parcels import Parcels
from hubfs.fuse.room import Room
from hubfs.fuse.stats import permissions_of

# What pyfuse3 calls for nothing that a file system must answer.
LEFT_ALONE = {"forget", "poll", "stacktrace"}
NOT_SERVED = {"fsync": 20, "flush": 25, "fsyncdir": 30}  # of linux/fuse.h


class AlwaysRoom(Room):
    async def wait(self) -> None:
        """There is."""


def operations(room: Room | None = None, **answers: Any) -> Operations:
    """Handlers over a tree that gives these answers."""
    tree: Any = SimpleNamespace(**answers)
    permissions = permissions_of(Ownership())
    return Operations(tree, lambda: None, permissions, Parcels(), room or AlwaysRoom(0))


def failing(error: Exception, room: Room | None = None) -> Operations:
    """Handlers of which `readlink` fails so."""

    def fail(_: int) -> bytes:
        raise error

    return operations(room, read_link=fail)


async def code_of(error: Exception) -> int:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await failing(error).readlink(5, None)
    return int(caught.value.errno)


async def test_a_named_failure_is_its_errno_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert await code_of(AccessDenied("acme/model: access is gated")) == errno.EACCES
    assert [record.getMessage() for record in caplog.records] == [
        "readlink fails: acme/model: access is gated"
    ]


@pytest.mark.parametrize("error", [NoSuchAttribute("user.x"), FetchStopped("shutting down")])
async def test_what_is_nobodys_fault_is_not_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    await code_of(error)
    assert caplog.records == []


async def test_a_bug_is_eio_and_a_traceback_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await code_of(KeyError("oops")) == errno.EIO
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)


async def test_an_errno_that_a_handler_chose_is_kept() -> None:
    assert await code_of(pyfuse3.FUSEError(errno.EROFS)) == errno.EROFS


def test_no_request_is_left_to_the_library() -> None:
    """It answers ENOSYS without looking for room; what it would answer so, the relay refuses."""
    asked = {
        name
        for name, each in inspect.getmembers(pyfuse3.Operations, inspect.isroutine)
        if not name.startswith("_")
    }
    numbers = {each.name.lower(): each for each in wire.Change} | NOT_SERVED
    refused = {name for name in asked if name in numbers and wire.refusal_of(numbers[name])}
    answered = {name for name in asked if name in vars(Operations)}
    assert asked - answered - refused == LEFT_ALONE
    assert not answered & refused


async def test_an_answer_waits_for_room() -> None:
    """Whoever fails waits too; and of many that wait none is forgotten."""
    libfuse, relay = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with libfuse, relay:
        while brief.can_write(libfuse.fileno()):
            libfuse.send(bytes(1000))
        handlers = failing(KeyError("oops"), Room(libfuse.fileno()))
        answered = 0

        async def answer() -> None:
            nonlocal answered
            with pytest.raises(pyfuse3.FUSEError):
                await handlers.readlink(5, None)
            libfuse.send(bytes(1000), socket.MSG_DONTWAIT)
            answered += 1

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(answer)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert answered == 0
            while answered < 100:
                await trio.lowlevel.wait_readable(relay)
                relay.recv(1000)


async def test_an_opening_for_writing_is_refused() -> None:
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        with pytest.raises(pyfuse3.FUSEError) as caught:
            await operations().open(5, flags, None)
        assert caught.value.errno == errno.EROFS


async def test_attributes_are_told_as_they_are() -> None:
    found = Attributes(7, NodeType.FILE, 1025, 1_700_000_000.5, 60.0, FOREVER)
    entry = await operations(attributes=lambda _: found).getattr(7, None)
    assert (entry.st_ino, entry.st_size, entry.st_blocks) == (7, 1025, 3)
    assert entry.st_mode == stat.S_IFREG | 0o444
    assert (entry.st_uid, entry.st_gid) == (os.getuid(), os.getgid())
    assert {entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns} == {1_700_000_000_500_000_000}
    assert (entry.entry_timeout, entry.attr_timeout) == (60.0, FOREVER)


async def test_a_miss_is_told_as_inode_zero_with_a_time_to_live() -> None:
    async def lookup(_: int, __: bytes) -> Attributes:
        return absent(30.0)

    entry = await operations(lookup=lookup).lookup(1, b"absent", None)
    assert (entry.st_ino, entry.entry_timeout) == (0, 30.0)


async def test_a_failed_lookup_is_no_miss() -> None:
    async def lookup(_: int, __: bytes) -> Attributes:
        raise HubUnreachable("down")

    with pytest.raises(pyfuse3.FUSEError) as caught:
        await operations(lookup=lookup).lookup(1, b"unknown", None)
    assert caught.value.errno == errno.EIO
