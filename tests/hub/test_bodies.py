from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import ProtocolViolation
from hubfs.hub.bodies import Body

MOST = 10_000
parts = st.lists(st.binary(max_size=200), max_size=10)


def taken(body: Body, data: bytes, step: int = 1000) -> bytes:
    for at in range(0, len(data), step):
        body.add(data[at : at + step])
    return body.whole()


@given(parts)
def test_a_plain_body_comes_back_as_it_came(data: list[bytes]) -> None:
    body = Body("", MOST)
    for each in data:
        body.add(each)
    assert body.whole() == b"".join(data)
    assert body.size == len(b"".join(data))


@given(parts, st.integers(1, 50))
def test_a_packed_body_is_unpacked_however_it_is_cut(data: list[bytes], step: int) -> None:
    """A gzip file may be several, one behind the other."""
    packed = b"".join(map(gzip.compress, data or [b""]))
    assert taken(Body("gzip", MOST), packed, step) == b"".join(data)


@pytest.mark.parametrize("encoding", ["identity", " Identity ", "GZIP", "x-gzip"])
def test_an_encoding_is_known_in_any_spelling(encoding: str) -> None:
    data = gzip.compress(b"x") if "g" in encoding.lower() else b"x"
    assert taken(Body(encoding, MOST), data) == b"x"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "identity, gzip", "x"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(ProtocolViolation, match="not asked for"):
        Body(encoding, MOST)


def test_a_body_of_the_greatest_size_is_taken() -> None:
    data = bytes(MOST)
    assert taken(Body("", MOST), data) == data
    assert taken(Body("gzip", MOST), gzip.compress(data)) == data


def test_a_plain_body_that_does_not_end_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="does not end"):
        taken(Body("", MOST), bytes(MOST + 1))


def test_a_bomb_is_unpacked_no_further_than_the_bound() -> None:
    bomb = gzip.compress(bytes(100 * MOST))
    body = Body("gzip", MOST)
    with pytest.raises(ProtocolViolation, match="does not end"):
        body.add(bomb)
    assert body.size == MOST + 1
    with pytest.raises(ProtocolViolation, match="does not end"):
        body.add(b"x")
    assert body.size == MOST + 1


def test_a_bomb_of_many_small_ones_is_refused() -> None:
    body = Body("gzip", MOST)
    with pytest.raises(ProtocolViolation, match="does not end"):
        body.add(gzip.compress(bytes(MOST // 2)) * 100)
    assert body.size <= 2 * MOST


def test_a_packed_body_that_unpacks_to_nothing_ends_too() -> None:
    packer = zlib.compressobj(wbits=31)
    nothing = packer.compress(b"") + packer.flush(zlib.Z_SYNC_FLUSH)
    empty_blocks = b"\x00\x00\x00\xff\xff" * MOST
    body = Body("gzip", MOST)
    with pytest.raises(ProtocolViolation, match="does not end"):
        taken(body, nothing + empty_blocks)


@pytest.mark.parametrize("kept", [0, 5, -1, -9])
def test_a_packed_body_cut_short_is_noticed(kept: int) -> None:
    body = Body("gzip", MOST)
    body.add(gzip.compress(b"something")[:kept])
    with pytest.raises(ProtocolViolation, match="cut short"):
        body.whole()


@given(st.binary(min_size=2))
def test_what_is_not_gzip_is_a_violation_and_nothing_else(data: bytes) -> None:
    body = Body("gzip", MOST)
    with pytest.raises(ProtocolViolation):
        taken(body, b"\x1f\x8c" + data)
