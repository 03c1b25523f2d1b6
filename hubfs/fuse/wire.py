"""The FUSE protocol's messages, as far as hubfs touches them itself. Pure.

Layouts and numbers are those of the kernel's `include/uapi/linux/fuse.h`,
little-endian machines only; Debian 12's copy of it ends before passthrough.
"""

from __future__ import annotations

import enum
import errno
import struct
from typing import Final, NamedTuple

from hubfs.fs.attributes import Attributes
from hubfs.fuse.stats import IO_SIZE, Permissions, blocks_of, nanoseconds_of

IN_HEADER: Final = struct.Struct("<IIQQIII4x")  # length, opcode, unique, node, uid, gid, pid
OUT_HEADER: Final = struct.Struct("<IiQ")  # length, error, unique
READ_IN: Final = struct.Struct("<QQI")  # handle, offset, size; more follows
RELEASE_IN: Final = struct.Struct("<QIIQ")  # handle, flags, release flags, lock owner
HANDLE: Final = struct.Struct("<Q")  # how the bodies of RELEASE and of OPEN's answer begin
INTERRUPT_IN: Final = struct.Struct("<Q")  # the unique of the interrupted request
_OPEN_OUT: Final = struct.Struct("<QIi")  # handle, flags, backing id
_U32: Final = struct.Struct("<I")
# Of an answer to LOOKUP, after its header: node, generation, seconds for which the name and the
# attributes hold, their nanoseconds; of one to GETATTR: seconds, nanoseconds.
_ENTRY_OUT: Final = struct.Struct("<QQQQII")
_ATTR_OUT: Final = struct.Struct("<QI4x")
# inode, size, blocks, three times, their nanoseconds, mode, links, uid, gid, device, block size.
_ATTR: Final = struct.Struct("<QQQQQQIIIIIIIII4x")

_INIT_IN_FLAGS, _INIT_IN_FLAGS2 = 12, 16
_INIT_OUT_FLAGS, _INIT_OUT_BACKGROUND, _INIT_OUT_FLAGS2, _INIT_OUT_DEPTH = 12, 16, 32, 36
_INIT_OUT_SIZE = 40  # up to and with max_stack_depth
_INIT_VERSION = struct.Struct("<II")  # major, minor: how both INIT and its answer begin
_INIT_OUT_MAX_WRITE, _WHOLE_INIT_OUT = 20, 64

_BACKGROUND: Final = struct.Struct("<HH")  # most requests, and how many are called congestion
# Readahead is such: of 12 at a time, the default, one eager reader has all, and others wait.
_MOST_BACKGROUND, _CONGESTION = 256, 192

PARALLEL_DIROPS: Final = 1 << 18
CACHE_SYMLINKS: Final = 1 << 23
INIT_EXT: Final = 1 << 30
PASSTHROUGH_2: Final = 1 << 5  # in the second word of flags

KEEP_CACHE: Final = 1 << 1
CACHE_DIR: Final = 1 << 3
PASSTHROUGH: Final = 1 << 7

# Kernels count requests up by two; nothing of theirs comes near this.
OWN_UNIQUE: Final = 1 << 63


class Opcode(enum.IntEnum):
    """The requests that are served."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    READLINK = 5
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    GETXATTR = 22
    LISTXATTR = 23
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    ACCESS = 34
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    READDIRPLUS = 44


class Change(enum.IntEnum):
    """The requests that change something, of a mount that somebody made writable, say."""

    SETATTR = 4
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    WRITE = 16
    SETXATTR = 21
    REMOVEXATTR = 24
    CREATE = 35
    FALLOCATE = 43
    RENAME2 = 45
    COPY_FILE_RANGE = 47
    TMPFILE = 51


_SERVED: Final = frozenset(map(int, Opcode))
_CHANGES: Final = frozenset(map(int, Change))


def refusal_of(opcode: int) -> int:
    """The errno for a request that is not served, whatever it asks; 0 for one that is.

    Most kinds that meet ENOSYS once are not sent again: FLUSH at each close, say.
    """
    if opcode in _SERVED:
        return 0
    return errno.EROFS if opcode in _CHANGES else errno.ENOSYS


class Request(NamedTuple):
    """The header of a request."""

    opcode: int
    unique: int
    node: int
    pid: int


def request_of(message: memoryview) -> Request:
    """Read the header of a request."""
    _, opcode, unique, node, _, _, pid = IN_HEADER.unpack_from(message)
    return Request(opcode, unique, node, pid)


def limit_size(body: memoryview, most: int) -> None:
    """Have a READ or READDIR(PLUS) ask for at most `most` bytes; its answer may always be less."""
    handle, offset, size = READ_IN.unpack_from(body)
    READ_IN.pack_into(body, 0, handle, offset, min(size, most))


def error_answer(unique: int, error: int) -> bytes:
    """The answer that fails a request with `error`, a positive errno."""
    return OUT_HEADER.pack(OUT_HEADER.size, -error, unique)


def data_header(unique: int, size: int) -> bytes:
    """What goes before the `size` bytes of an answer."""
    return OUT_HEADER.pack(OUT_HEADER.size + size, 0, unique)


def name_of(body: memoryview) -> bytes:
    """The name that a LOOKUP is for."""
    return bytes(body).partition(b"\0")[0]


def entry_answer(unique: int, found: Attributes, permissions: Permissions) -> bytes:
    """The answer to a LOOKUP; one of inode 0 lets the kernel remember the miss."""
    of_name, of_inode = _times(found.entry_ttl), _times(found.attribute_ttl)
    seconds, rest = zip(of_name, of_inode, strict=True)
    entry = _ENTRY_OUT.pack(found.inode, 0, *seconds, *rest)
    return _answer(unique, entry + _attributes(found, permissions))


def attributes_answer(unique: int, found: Attributes, permissions: Permissions) -> bytes:
    """The answer to a GETATTR."""
    head = _ATTR_OUT.pack(*_times(found.attribute_ttl))
    return _answer(unique, head + _attributes(found, permissions))


def _attributes(found: Attributes, permissions: Permissions) -> bytes:
    uid, gid, modes = permissions
    seconds, rest = _times(found.mtime)
    return _ATTR.pack(
        found.inode,
        found.size,
        blocks_of(found.size),
        *(seconds, seconds, seconds),
        *(rest, rest, rest),
        modes[found.type],
        1,
        uid,
        gid,
        0,
        IO_SIZE,
    )


def _times(seconds: float) -> tuple[int, int]:
    """Whole seconds, and the nanoseconds beyond."""
    return divmod(nanoseconds_of(seconds), 1_000_000_000)


def _answer(unique: int, body: bytes) -> bytes:
    return OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body


def release_request(number: int, node: int, handle: int) -> bytes:
    """A RELEASE of our own making, for a handle that the kernel never got to see."""
    length = IN_HEADER.size + RELEASE_IN.size
    header = IN_HEADER.pack(length, Opcode.RELEASE, OWN_UNIQUE | number, node, 0, 0, 0)
    return header + RELEASE_IN.pack(handle, 0, 0, 0)


def offers_passthrough(init: memoryview) -> bool:
    """Whether an INIT request comes from a kernel that can pass reads through."""
    body = init[IN_HEADER.size :]
    if len(body) < _INIT_IN_FLAGS2 + 4 or not _U32.unpack_from(body, _INIT_IN_FLAGS)[0] & INIT_EXT:
        return False
    return bool(_U32.unpack_from(body, _INIT_IN_FLAGS2)[0] & PASSTHROUGH_2)


def extend_init(answer: memoryview, *, passthrough: bool, stack_depth: int) -> None:
    """Add to INIT's answer what libfuse or pyfuse3 cannot say.

    Parallel directory operations: a lookup that waits for the Hub then holds
    up no other name of its directory. Symlinks' targets may be cached.
    The kernel lowers the requests in the background for whom it trusts less.
    """
    body = answer[OUT_HEADER.size :]
    _BACKGROUND.pack_into(body, _INIT_OUT_BACKGROUND, _MOST_BACKGROUND, _CONGESTION)
    flags = _U32.unpack_from(body, _INIT_OUT_FLAGS)[0] | PARALLEL_DIROPS | CACHE_SYMLINKS
    if passthrough and len(body) >= _INIT_OUT_SIZE:
        flags |= INIT_EXT
        flags2 = _U32.unpack_from(body, _INIT_OUT_FLAGS2)[0] | PASSTHROUGH_2
        _U32.pack_into(body, _INIT_OUT_FLAGS2, flags2)
        _U32.pack_into(body, _INIT_OUT_DEPTH, stack_depth)
    _U32.pack_into(body, _INIT_OUT_FLAGS, flags)


def init_answer(init: memoryview) -> bytes:
    """An answer to an INIT request that asks for nothing but passthrough."""
    major, minor = _INIT_VERSION.unpack_from(init[IN_HEADER.size :])
    body = bytearray(_WHOLE_INIT_OUT)
    _INIT_VERSION.pack_into(body, 0, major, minor)
    _U32.pack_into(body, _INIT_OUT_MAX_WRITE, 4096)
    header = OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, request_of(init).unique)
    answer = bytearray(header + body)
    extend_init(memoryview(answer), passthrough=True, stack_depth=1)
    return bytes(answer)


def handle_of(body: memoryview) -> int:
    """The handle at the start of a body."""
    return int(HANDLE.unpack_from(body)[0])


def pass_through(answer: memoryview, backing: int) -> None:
    """Make the answer to an OPEN one by which the kernel reads the backing file itself."""
    body = answer[OUT_HEADER.size :]
    handle, flags, _ = _OPEN_OUT.unpack_from(body)
    _OPEN_OUT.pack_into(body, 0, handle, flags & ~KEEP_CACHE | PASSTHROUGH, backing)


def cache_directory(answer: memoryview) -> None:
    """Let the kernel keep the lines of an opened directory, which never change."""
    body = answer[OUT_HEADER.size :]
    handle, flags, backing = _OPEN_OUT.unpack_from(body)
    _OPEN_OUT.pack_into(body, 0, handle, flags | KEEP_CACHE | CACHE_DIR, backing)
