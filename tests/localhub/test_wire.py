import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.localhub.wire import (
    Part,
    Request,
    Response,
    Unsatisfiable,
    clip,
    parse_head,
    parse_range,
    read_parts,
    whole,
)


@given(size=st.integers(0, 50), first=st.integers(0, 60), last=st.integers(0, 60) | st.none())
def test_a_range_is_the_slice_that_python_would_take(
    size: int, first: int, last: int | None
) -> None:
    data = bytes(range(size))
    header = f"bytes={first}-{'' if last is None else last}"
    if last is not None and last < first:
        assert parse_range(header, size) is None
    elif first >= size:
        with pytest.raises(Unsatisfiable):
            parse_range(header, size)
    else:
        span = parse_range(header, size)
        assert span
        assert data[slice(*span)] == data[first : size if last is None else last + 1]


@given(size=st.integers(1, 50), count=st.integers(1, 60))
def test_a_suffix_range_is_the_end(size: int, count: int) -> None:
    assert parse_range(f"bytes=-{count}", size) == (max(size - count, 0), size)


@pytest.mark.parametrize("header", ["bytes=-0", "bytes=0-", "bytes=-1"])
def test_an_empty_file_has_no_range(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 0)


@pytest.mark.parametrize("header", [None, "", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2"])
def test_what_is_no_range_is_ignored(header: str | None) -> None:
    assert parse_range(header, 10) is None


def test_several_ranges_are_ignored() -> None:
    assert parse_range("bytes=0-1,4-5", 10) is None


@given(pieces=st.lists(st.binary(max_size=8)), start=st.integers(0, 40), length=st.integers(0, 40))
def test_a_clipped_body_is_the_slice_of_its_bytes(
    pieces: list[bytes], start: int, length: int
) -> None:
    parts = tuple(Part(b"<" + piece + b">", 1, len(piece)) for piece in pieces)
    data = b"".join(pieces)

    assert read_parts(clip(parts, start, start + length)) == data[start : start + length]


def test_a_request_keeps_its_path_encoded_and_decodes_its_query() -> None:
    head = b"GET /a/tree/refs%2Fpr%2F1/x%20y?recursive=true&p=a+b HTTP/1.1\r\nHost: h\r\nRange: r"
    request = parse_head(head)

    assert request.segments == ("a", "tree", "refs%2Fpr%2F1", "x%20y")
    assert request.flag("recursive")
    assert request.option("p") == "a b"
    assert request.headers == {"host": "h", "range": "r"}
    assert request.without("range").headers == {"host": "h"}


@pytest.mark.parametrize(
    ("version", "header", "expected"),
    [
        ("HTTP/1.1", "", True),
        ("HTTP/1.1", "close", False),
        ("HTTP/1.0", "", False),
        ("HTTP/1.0", "Keep-Alive", True),
    ],
)
def test_who_keeps_the_connection_open(version: str, header: str, expected: bool) -> None:
    request = Request("GET", "/", {"connection": header}, version=version)

    assert request.keeps_alive is expected


def test_a_head_states_the_length() -> None:
    head = Response(200, (("A", "b"),), whole(b"12345")).head(keep_alive=False)

    assert head == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"


def test_setting_a_header_replaces_its_namesakes() -> None:
    response = Response(200, (("ETag", "1"), ("X", "2"))).with_headers(("etag", "3"))

    assert response.headers == (("X", "2"), ("etag", "3"))
