"""The FUSE messages that hubfs reads and changes itself."""

from __future__ import annotations

import errno
import struct

from hypothesis import given
from hypothesis import strategies as st

from hubfs.fuse import wire

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)


def init_request(flags: int, flags2: int) -> memoryview:
    body = struct.pack("<IIIII44x", 7, 41, 131072, flags, flags2)
    return memoryview(wire.IN_HEADER.pack(40 + len(body), 26, 2, 0, 0, 0, 0) + body)


def init_answer(size: int = 64) -> memoryview:
    body = struct.pack("<IIIIHHIIHHII24x", 7, 41, 131072, 1, 12, 9, 1 << 20, 1, 256, 0, 0, 0)
    return memoryview(bytearray(wire.OUT_HEADER.pack(16 + size, 0, 2) + body[:size]))


def open_answer(handle: int, flags: int) -> memoryview:
    body = struct.pack("<QIi", handle, flags, 0)
    return memoryview(bytearray(wire.OUT_HEADER.pack(16 + len(body), 0, 4) + body))


@given(opcode=U32, unique=U64, node=U64, pid=U32)
def test_a_request_is_read_as_the_kernel_wrote_it(
    opcode: int, unique: int, node: int, pid: int
) -> None:
    message = wire.IN_HEADER.pack(40, opcode, unique, node, 1, 2, pid)
    assert wire.request_of(memoryview(message)) == (opcode, unique, node, pid)


def test_a_kernel_offers_passthrough_by_the_second_word_of_its_flags() -> None:
    assert wire.offers_passthrough(init_request(wire.INIT_EXT, wire.PASSTHROUGH_2))
    assert not wire.offers_passthrough(init_request(wire.INIT_EXT, 0))
    assert not wire.offers_passthrough(init_request(0, wire.PASSTHROUGH_2))


def test_an_old_kernel_with_a_short_init_offers_no_passthrough() -> None:
    assert not wire.offers_passthrough(init_request(wire.INIT_EXT, wire.PASSTHROUGH_2)[:56])


def test_an_extended_init_keeps_what_libfuse_said_and_adds_passthrough() -> None:
    answer = init_answer()
    wire.extend_init(answer, passthrough=True, stack_depth=1)
    flags, flags2, depth = (struct.unpack_from("<I", answer, 16 + at)[0] for at in (12, 32, 36))
    assert flags == 1 | wire.PARALLEL_DIROPS | wire.CACHE_SYMLINKS | wire.INIT_EXT
    assert (flags2, depth) == (wire.PASSTHROUGH_2, 1)
    assert struct.unpack_from("<HH", answer, 16 + 16) == (256, 192)


def test_an_init_without_passthrough_leaves_the_second_flags_alone() -> None:
    answer = init_answer()
    wire.extend_init(answer, passthrough=False, stack_depth=1)
    assert bytes(answer[16 + 32 : 16 + 40]) == bytes(8)


def test_an_init_too_short_for_passthrough_is_not_written_past_its_end() -> None:
    answer = init_answer(24)
    wire.extend_init(answer, passthrough=True, stack_depth=1)
    assert not struct.unpack_from("<I", answer, 16 + 12)[0] & wire.INIT_EXT


@given(handle=U64)
def test_a_passed_through_open_keeps_its_handle_and_drops_the_page_cache(handle: int) -> None:
    answer = open_answer(handle, wire.KEEP_CACHE)
    wire.pass_through(answer, 7)
    assert struct.unpack_from("<QIi", answer, 16) == (handle, wire.PASSTHROUGH, 7)


@given(handle=U64)
def test_a_cached_directory_keeps_its_handle(handle: int) -> None:
    answer = open_answer(handle, 0)
    wire.cache_directory(answer)
    flags = wire.KEEP_CACHE | wire.CACHE_DIR
    assert struct.unpack_from("<QIi", answer, 16) == (handle, flags, 0)


def test_an_error_is_answered_with_its_negative() -> None:
    length, error, unique = wire.OUT_HEADER.unpack(wire.error_answer(9, errno.EIO))
    assert (length, error, unique) == (16, -errno.EIO, 9)


def test_a_release_of_our_own_can_be_told_from_the_kernels() -> None:
    message = memoryview(wire.release_request(2, 77, 5))
    request = wire.request_of(message)
    assert request.opcode == wire.Opcode.RELEASE
    assert request.unique & wire.OWN_UNIQUE
    assert request.node == 77
    assert wire.handle_of(message[wire.IN_HEADER.size :]) == 5
