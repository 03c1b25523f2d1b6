from __future__ import annotations

import os
from pathlib import Path

import pytest

from hubfs.errors import StoreDamaged
from hubfs.store.rehash import LARGEST_GIT_FILE, digests_of
from tests.store.contents import git_oid_of, sha256_of


@pytest.mark.parametrize("size", [0, 1, 4 << 20, (4 << 20) + 1, LARGEST_GIT_FILE])
def test_a_file_is_hashed_both_ways_in_one_pass(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    steps: list[int] = []
    with (tmp_path / "file").open("rb") as file:
        found = digests_of(file.fileno(), size, steps.append)
    assert (found.sha256, found.git_oid) == (sha256_of(data), git_oid_of(data))
    assert sum(steps) == size
    assert [each.size for each in found.contents] == [size, size]


def test_a_large_file_is_no_git_file(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        file.truncate(LARGEST_GIT_FILE + 1)
        found = digests_of(file.fileno(), LARGEST_GIT_FILE + 1)
    assert found.git_oid is None
    assert [each.sha256 for each in found.contents] == [found.sha256]


def test_a_file_that_is_shorter_than_it_was_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")
    with (tmp_path / "file").open("rb") as file, pytest.raises(StoreDamaged, match="shorter"):
        digests_of(file.fileno(), 6)


def test_whoever_is_told_of_the_steps_may_end_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100))

    def stop(_: int) -> None:
        raise InterruptedError

    with (tmp_path / "file").open("rb") as file, pytest.raises(InterruptedError):
        digests_of(file.fileno(), 100, stop)
