from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import StoreDamaged
from hubfs.store.reading import Extent, drop_behind, read_blocking, read_nowait
from tests.store.pages import pieces_in_memory

DATA = bytes(range(256)) * 64


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("reading") / "file"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def find_nowait(descriptor: int, start: int, stop: int) -> bytes | None:
    """The bytes, if they could be read at once."""
    extent = Extent(descriptor, start, stop - start)
    buffer = bytearray(extent.size)
    return bytes(buffer) if read_nowait(extent, memoryview(buffer)) else None


offsets = st.integers(0, len(DATA))
spans = st.tuples(offsets, offsets).map(sorted).map(tuple)


@given(spans)
def test_reading_at_once_gives_all_of_the_bytes_or_says_that_it_cannot(
    descriptor: int, span: tuple[int, int]
) -> None:
    assert find_nowait(descriptor, *span) in {None, DATA[slice(*span)]}


@given(spans)
def test_reading_with_patience_gives_all_of_the_bytes(
    descriptor: int, span: tuple[int, int]
) -> None:
    start, stop = span
    assert read_blocking(descriptor, start, stop - start) == DATA[start:stop]


def can_tell(descriptor: int) -> bool:
    """Whether the file system says what is in memory: ext4 does; overlayfs and tmpfs do not."""
    try:
        return os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except OSError:
        return False


def test_bytes_just_written_are_read_at_once_where_the_file_system_can_tell(
    tmp_path: Path,
) -> None:
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        file.write(DATA)
        expected = DATA[5:1005] if can_tell(file.fileno()) else None
        assert find_nowait(file.fileno(), 5, 1005) == expected


def test_a_file_system_that_cannot_tell_needs_patience(tiny_disk: Path) -> None:
    with (tiny_disk / "file").open("w+b", buffering=0) as file:
        file.write(DATA)
        assert find_nowait(file.fileno(), 0, 100) in {None, DATA[:100]}
        assert read_blocking(file.fileno(), 0, 100) == DATA[:100]


def test_the_end_of_a_file_is_never_padded(descriptor: int) -> None:
    assert find_nowait(descriptor, len(DATA) - 10, len(DATA) + 1) is None
    assert find_nowait(descriptor, len(DATA) + 1, len(DATA) + 2) is None


def test_reading_with_patience_past_the_end_is_damage(descriptor: int) -> None:
    with pytest.raises(StoreDamaged, match="shorter than it was"):
        read_blocking(descriptor, len(DATA) - 10, 11)


def test_a_disk_that_fails_is_damage(tmp_path: Path) -> None:
    # A descriptor that may only be written is the nearest thing to a failing disk.
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(StoreDamaged, match="disk failed"):
        find_nowait(descriptor, 0, 1)
    with pytest.raises(StoreDamaged, match="disk failed"):
        read_blocking(descriptor, 0, 1)
    os.close(descriptor)


def test_of_what_a_reader_has_passed_next_to_nothing_stays_in_memory(tmp_path: Path) -> None:
    """Readahead makes folios of several reads, and the kernel forgets whole ones only."""
    size, step = 64 << 20, 1 << 17
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if any(pieces_in_memory(descriptor, size)):
            pytest.skip("this file system keeps all it has in memory")
        for offset in range(0, size, step):
            assert len(os.pread(descriptor, step, offset)) == step
            drop_behind(Extent(descriptor, offset, step))
        assert sum(pieces_in_memory(descriptor, step)) * step <= 4 << 20
    finally:
        os.close(descriptor)
