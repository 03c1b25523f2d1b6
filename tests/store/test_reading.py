from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import StoreDamaged
from hubfs.store.reading import read_blocking, read_nowait

DATA = bytes(range(256)) * 64


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("reading") / "file"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


spans = st.tuples(st.integers(0, len(DATA)), st.integers(0, len(DATA))).map(sorted)


@given(spans)
def test_reading_at_once_gives_all_of_the_bytes_or_nothing(
    descriptor: int, span: tuple[int, int]
) -> None:
    start, stop = span
    found = read_nowait(descriptor, start, stop - start, bytearray(len(DATA)))
    assert found is None or bytes(found) == DATA[start:stop]


@given(spans)
def test_reading_with_patience_gives_all_of_the_bytes(
    descriptor: int, span: tuple[int, int]
) -> None:
    start, stop = span
    assert read_blocking(descriptor, start, stop - start) == DATA[start:stop]


def test_bytes_just_written_are_read_at_once_where_the_file_system_can_tell(
    tmp_path: Path,
) -> None:
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        file.write(DATA)
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except OSError as error:
            pytest.skip(f"not on this file system: {error.strerror}")
        found = read_nowait(file.fileno(), 5, 1000, bytearray(1000))
    assert found is not None
    assert bytes(found) == DATA[5:1005]


def test_a_file_system_that_cannot_tell_needs_patience(tiny_disk: Path) -> None:
    with (tiny_disk / "file").open("w+b", buffering=0) as file:
        file.write(DATA)
        found = read_nowait(file.fileno(), 0, 100, bytearray(200))
        assert found is None or bytes(found) == DATA[:100]
        assert read_blocking(file.fileno(), 0, 100) == DATA[:100]


def test_reading_at_once_past_the_end_gives_nothing(descriptor: int) -> None:
    assert read_nowait(descriptor, len(DATA) - 10, 11, bytearray(11)) is None


def test_reading_at_once_gives_nothing_that_does_not_fit_its_buffer(descriptor: int) -> None:
    assert read_nowait(descriptor, 0, 11, bytearray(10)) is None


def test_reading_with_patience_past_the_end_is_damage(descriptor: int) -> None:
    with pytest.raises(StoreDamaged, match="shorter than it was"):
        read_blocking(descriptor, len(DATA) - 10, 11)


def test_a_disk_that_fails_is_damage(tmp_path: Path) -> None:
    # A descriptor that may only be written is the nearest thing to a failing disk.
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(StoreDamaged, match="disk failed"):
        read_nowait(descriptor, 0, 1, bytearray(1))
    with pytest.raises(StoreDamaged, match="disk failed"):
        read_blocking(descriptor, 0, 1)
    os.close(descriptor)
