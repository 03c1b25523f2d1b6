"""The budget: the cache takes no more of the disk than it may, and no reader notices."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from hubfs.fuse import device
from tests.budget.rig import taken
from tests.localhub import File, LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import attribute, read_anew, sha256
from tests.mount.mounted import Mounted
from tests.mount.test_passthrough import READER
from tests.mount.waiting import PATIENCE, wait_until

MIB = 1 << 20
REPO = "acme/model"
READERS = 6
BUDGET = 16 * MIB


def sample(number: int, size: int = 3 * MIB) -> bytes:
    return random.Random(number).randbytes(size)


FILES = {f"{number}.bin": sample(number) for number in range(14)}
FILES["large.bin"] = sample(99, 11 * MIB)
SHELF = "acme/shelf"
SMALL = {f"small-{number}.bin": sample(1000 + number, MIB) for number in range(40)}
PINNED = "small-0.bin"
HASHES = {name: hashlib.sha256(data).hexdigest() for name, data in (FILES | SMALL).items()}


@pytest.fixture(params=["on", "off"])
def way(request: pytest.FixtureRequest) -> str:
    """With passthrough, and without."""
    if request.param == "on" and not device.can_mount():
        pytest.skip("the kernel passes reads through for root only")
    return str(request.param)


@pytest.fixture
def mounted(way: str, hub: LocalHub, mount: Mount) -> Mounted:
    for repo, files in ((REPO, FILES), (SHELF, SMALL)):
        hub.create_repo(repo, {name: File(data, lfs=True) for name, data in files.items()})
    options = ("--cache-size", str(BUDGET), "--min-free", "none", "--fill", "always")
    return mount("--passthrough", way, *options)


@contextlib.contextmanager
def watching(cache: Path) -> Iterator[list[int]]:
    """What the cache takes on disk, again and again, meanwhile."""
    found: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.002):
            found.append(taken(cache))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield found
        finally:
            over.set()
            looking.result()


def blob_of(mounted: Mounted, name: str) -> Path:
    sha256 = HASHES[name]
    return mounted.cache / "blobs/sha256" / sha256[:2] / sha256


def test_a_budget_is_kept_while_many_read_many_times_as_much(mounted: Mounted) -> None:
    """Fill a small budget many times over.

    The cache takes no more of the disk than `--cache-size`, and what is open beside it.
    What was used longest ago is deleted first; what is open is never deleted.
    """
    shelf, log = mounted / SHELF, mounted.hub.log
    others = [name for name in SMALL if name != PINNED]
    complete(mounted, PINNED, SHELF)
    pinned = mounted.hubfs("pin", f"{SHELF}:{PINNED}", "--cache-dir", mounted.cache)
    assert pinned.returncode == 0, pinned.stderr

    def read(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(40):
            name = draw.choice(others)
            with (shelf / name).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # pages outlive blobs
                assert hashlib.file_digest(file, "sha256").hexdigest() == HASHES[name]

    with watching(mounted.cache) as figures, ThreadPoolExecutor(READERS) as pool:
        list(pool.map(read, range(READERS)))
    assert len(figures) > 20
    assert max(figures) <= BUDGET + READERS * MIB  # which are open at most
    assert log.content_bytes() > 4 * BUDGET
    assert "nothing new is kept" not in mounted.log
    wait_until(lambda: taken(mounted.cache) <= BUDGET)
    assert sha256(shelf / PINNED) == HASHES[PINNED]
    assert blob_of(mounted, PINNED).exists()
    assert log.content_bytes(f"{SHELF}/{PINNED}") == len(SMALL[PINNED])


@pytest.mark.parametrize("fill", ["auto", "always"])
def test_what_is_larger_than_the_budget_is_read_and_takes_no_room_for_long(
    hub: LocalHub, mount: Mount, fill: str
) -> None:
    """It could never be here whole: nobody tries, and others find room as soon as it is closed."""
    huge, other = sample(98, 3 * BUDGET), sample(97, BUDGET // 2)
    hub.create_repo(REPO, {"huge.bin": File(huge, lfs=True)})
    hub.create_repo(SHELF, {"other.bin": File(other, lfs=True)})
    mounted = mount("--cache-size", str(BUDGET), "--min-free", "none", "--fill", fill)
    assert sha256(mounted / REPO / "huge.bin") == sha256(huge)
    done = mounted.hubfs("prefetch", SHELF, "--cache-dir", mounted.cache)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: taken(mounted.cache) <= BUDGET)
    hub.log.wait_idle()
    assert hub.log.content_bytes(f"{REPO}/huge.bin") <= len(huge) + BUDGET


def test_what_is_opened_again_is_used_though_the_kernel_reads_it(mounted: Mounted) -> None:
    """A file that the kernel reads by itself counts as used all the same: by its opens."""
    names = [f"{number}.bin" for number in range(6)]
    for name in names[:4]:
        complete(mounted, name)
    assert (mounted / REPO / names[0]).read_bytes() == FILES[names[0]]
    for name in names[4:]:
        complete(mounted, name)
    wait_until(lambda: taken(mounted.cache) <= BUDGET)
    assert not blob_of(mounted, names[1]).exists()
    assert all(blob_of(mounted, name).exists() for name in (names[0], *names[4:]))


def test_what_is_open_or_mapped_keeps_its_bytes_and_its_place(mounted: Mounted) -> None:
    """Reads never fail for want of room: what finds none is read and not kept."""
    complete(mounted, "0.bin")
    with ExitStack() as stack:
        file = stack.enter_context((mounted / REPO / "0.bin").open("rb"))
        view = stack.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        held = [stack.enter_context((mounted / REPO / name).open("rb")) for name in FILES]
        for name, each in zip(FILES, held, strict=True):
            assert hashlib.sha256(each.read()).hexdigest() == HASHES[name]
        assert "nothing new is kept" in mounted.log
        assert taken(mounted.cache) < BUDGET + 12 * MIB
        assert blob_of(mounted, "0.bin").exists()
        assert hashlib.sha256(view).hexdigest() == HASHES["0.bin"]
    others = [name for name in FILES if name != "0.bin"]

    def is_out_of_use() -> bool:
        for name in others:
            assert hashlib.sha256(read_anew(mounted / REPO / name)).hexdigest() == HASHES[name]
        return not blob_of(mounted, "0.bin").exists()

    wait_until(is_out_of_use)
    wait_until(lambda: taken(mounted.cache) <= BUDGET)
    assert attribute(mounted / REPO / "0.bin", "state") == "absent"


def complete(mounted: Mounted, name: str, repo: str = REPO) -> None:
    assert sha256(mounted / repo / name) == HASHES[name]
    wait_until(lambda: attribute(mounted / repo / name, "state") == "complete")


def test_32_processes_read_a_file_that_comes_and_goes(mounted: Mounted, tmp_path: Path) -> None:
    """A file that is opened while it turns from cold to complete never fails and never lies."""
    source = tmp_path / "source"
    source.write_bytes(FILES["large.bin"])
    path = mounted / REPO / "large.bin"
    over = threading.Event()

    def read_others() -> int:
        count = 0
        for name in (name for _ in iter(over.is_set, True) for name in FILES):
            count += len((mounted / REPO / name).read_bytes())
        return count

    with ExitStack() as stack:
        others = stack.enter_context(ThreadPoolExecutor(1)).submit(read_others)
        stack.callback(over.set)
        readers = []
        for seed in range(32):
            command = [sys.executable, "-c", READER, str(path), str(source), str(seed), "20"]
            child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            readers.append(stack.enter_context(child))
            stack.callback(child.kill)
        for reader in readers:
            _, complaint = reader.communicate(timeout=2 * PATIENCE)
            assert reader.returncode == 0, complaint
        over.set()
        assert others.result() > 2 * BUDGET
    wait_until(lambda: taken(mounted.cache) <= BUDGET)
