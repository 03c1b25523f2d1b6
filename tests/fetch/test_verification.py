"""A hash does not depend on the pieces in which bytes came, and tells any wrong byte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import ContentMismatch, StoreDamaged
from hubfs.fetch.verification import STEP, RollingHash
from hubfs.model.content import Content
from tests.fetch.samples import content_of, sample

DATA = sample(1000) + b"\0" * 9000


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("verification") / "file"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@given(st.integers(0, len(DATA)), st.lists(st.integers(0, len(DATA))), st.booleans())
def test_the_steps_in_which_a_file_is_hashed_do_not_matter(
    descriptor: int, size: int, stops: list[int], lfs: bool
) -> None:
    content = content_of(DATA[:size], lfs=lfs)
    rolling = RollingHash(content)
    for stop in [*sorted(stops), size]:
        rolling.advance(descriptor, min(stop, size))
        assert rolling.position == min(stop, size)
    assert rolling.verified() == hashlib.sha256(DATA[:size]).hexdigest()


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255), st.booleans())
def test_any_wrong_byte_is_told(descriptor: int, at: int, change: int, lfs: bool) -> None:
    other = bytearray(DATA)
    other[at] ^= change
    rolling = RollingHash(content_of(bytes(other), lfs=lfs))
    rolling.advance(descriptor, len(DATA))
    with pytest.raises(ContentMismatch, match="came for"):
        rolling.verified()


@given(st.integers(0, len(DATA) - 1), st.booleans())
def test_a_part_is_not_taken_for_the_whole(descriptor: int, size: int, lfs: bool) -> None:
    rolling = RollingHash(content_of(DATA, lfs=lfs))
    rolling.advance(descriptor, size)
    with pytest.raises(ContentMismatch):
        rolling.verified()


def test_a_git_id_counts_the_length() -> None:
    content = content_of(b"what is up, doc?", lfs=False)
    assert content.git_oid == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"  # from the Git book


def test_an_empty_file_is_verified_without_a_byte(descriptor: int) -> None:
    rolling = RollingHash(Content(0, git_oid="e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"))
    rolling.advance(descriptor, 0)
    assert rolling.verified() == hashlib.sha256(b"").hexdigest()


def test_more_than_one_step_is_taken_at_once(tmp_path: Path) -> None:
    data = sample(2 * STEP + 5)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        rolling = RollingHash(content_of(data))
        rolling.advance(file.fileno(), len(data))
    assert rolling.verified() == hashlib.sha256(data).hexdigest()


def test_a_file_that_was_cut_behind_our_back_is_damage(descriptor: int) -> None:
    rolling = RollingHash(content_of(DATA + b"more"))
    with pytest.raises(StoreDamaged, match="shorter than it was"):
        rolling.advance(descriptor, len(DATA) + 4)
