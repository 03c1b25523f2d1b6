"""A repo with 20,000 files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import is_there
from tests.mount.mounted import Mounted

FLAT, DEEP = 12_000, 8_000
FILES = {f"flat/{number:05}.json": b"{}" for number in range(FLAT)} | {
    f"deep/{number % 40}/{number % 400}/{number}.txt": str(number).encode()
    for number in range(DEEP)
}


@pytest.fixture
def large(mount: Mount, hub: LocalHub) -> Mounted:
    """A mount that knows the repo, and whose Hub is gone since."""
    hub.create_repo("acme/large", FILES)
    mounted = mount()
    assert (mounted / "acme/large").is_dir()
    hub.log.clear()
    hub.down()
    return mounted


def found(root: Path, kind: str) -> int:
    done = subprocess.run(["find", root, "-type", kind], capture_output=True, check=True)
    return done.stdout.count(b"\n")


def test_twenty_thousand_files_are_found_without_a_request(large: Mounted) -> None:
    """`find` over a repo of 20,000 files, misses in it, and all of that again, need no Hub."""
    root = large / "acme/large"
    for _ in range(2):
        assert found(root, "f") == FLAT + DEEP
        assert found(root, "d") == 3 + 40 + 400
        assert sum(each.stat().st_size for each in (root / "flat").iterdir()) == 2 * FLAT
        assert not [name for name in range(FLAT, FLAT + 500) if is_there(root / f"flat/{name}")]
    assert len(large.hub.log) == 0


def test_a_large_directory_can_be_read_from_the_middle(large: Mounted) -> None:
    path = large / "acme/large/flat"
    with os.scandir(path) as first, os.scandir(path) as second:
        begun = [next(first).name for _ in range(FLAT // 2)]
        whole = {each.name for each in second}
        assert {*begun, *(each.name for each in first)} == whole
    assert len(whole) == FLAT


GETDENTS = """
import ctypes, os, sys
libc, buffer = ctypes.CDLL(None), ctypes.create_string_buffer(1 << 20)
descriptor = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
size = 0
while (count := libc.getdents64(descriptor, buffer, len(buffer))) > 0:
    size += count
print(size)
"""


def test_a_directory_may_be_listed_in_large_pieces(large: Mounted) -> None:
    path = large / "acme/large/flat"
    command = [sys.executable, "-c", GETDENTS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        try:
            said, _ = reader.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            large.kill()  # or nobody can end the reader
            raise
    assert int(said) > FLAT * 24
