"""Bytes: exact, whichever way they are asked for, and downloaded once."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.localhub import Fault, File, LocalHub
from tests.mount.children import run_reader
from tests.mount.conftest import Mount
from tests.mount.looking import attribute, errno_of, is_there, names, sha256, sizes_below
from tests.mount.mounted import Mounted
from tests.mount.waiting import wait_until

MIB = 1 << 20
# Around pages, blocks, what is fetched whole, and the kernel's readahead.
SIZES = [0, 1, 4095, 4097, 2 * MIB - 1, 2 * MIB + 1, 8 * MIB, 8 * MIB + 1, 21 * MIB + 12345]


def blob(size: int, seed: int = 0) -> bytes:
    return random.Random(seed or size).randbytes(size)


def read_in_sequence(path: Path) -> str:
    return sha256(path)


def read_at_random(path: Path) -> str:
    """Read odd pieces in a drawn order from many threads that share a descriptor."""
    size, piece = path.stat().st_size, 100_003
    offsets = list(range(0, size, piece))
    random.Random(size).shuffle(offsets)
    file = os.open(path, os.O_RDONLY)
    try:
        with ThreadPoolExecutor(16) as threads:
            parts = dict(threads.map(lambda at: (at, os.pread(file, piece, at)), offsets))
    finally:
        os.close(file)
    return sha256(b"".join(parts[at] for at in sorted(parts)))


def read_by_mapping(path: Path) -> str:
    return run_reader("map-whole", path) if path.stat().st_size else sha256(path)


WAYS = [read_in_sequence, read_at_random, read_by_mapping]


@pytest.mark.parametrize("read", WAYS)
def test_every_byte_is_right_and_stays_when_the_hub_goes(
    mount: Mount, hub: LocalHub, read: Callable[[Path], str]
) -> None:
    """What was read once is here for good, verified by its hash, and needs no Hub any more."""
    files = {f"{size}.bin": blob(size) for size in SIZES} | {"config.json": b'{"a": 1}' * 999}
    hub.create_repo("acme/sizes", files)
    expected = {name: sha256(data) for name, data in files.items()}
    mounted = mount()
    root = mounted / "acme/sizes"
    assert {name: read(root / name) for name in files} == expected
    hub.down()
    hub.log.clear()
    mounted.remount()
    for again in WAYS:
        assert {name: again(root / name) for name in files} == expected
    assert len(hub.log) == 0
    wait_until(lambda: {attribute(each, "state") for each in root.iterdir()} == {"complete"})


def test_a_read_gives_what_was_asked_for_and_less_only_at_the_end(shared: Mounted) -> None:
    """A read gives exactly the bytes asked for, fewer only at the end of the file, or an error."""
    data = blob(9 * MIB + 321)
    shared.hub.create_repo("read/exact", {"model.bin": data})
    draw = random.Random(7)
    file = os.open(shared / "read/exact/model.bin", os.O_RDONLY)
    try:
        for _ in range(200):
            at = draw.randrange(len(data) + 5000)
            size = draw.choice([1, 100, 4096, 5000, 300_000, MIB])
            assert os.pread(file, size, at) == data[at : at + size]
        assert os.pread(file, 10, len(data)) == b""
        assert os.pread(file, 10, len(data) - 4) == data[-4:]
        assert os.pread(file, 10, 1 << 40) == b""
    finally:
        os.close(file)


def test_readers_share_what_is_on_its_way(shared: Mounted) -> None:
    """However many read a file at once, each of its bytes is downloaded once."""
    data = blob(24 * MIB, seed=3)
    shared.hub.create_repo("read/many", {"model.bin": data})
    path = shared / "read/many/model.bin"
    with ThreadPoolExecutor(12) as threads:
        kinds = itertools.islice(itertools.cycle([read_in_sequence, read_at_random]), 12)
        found = set(threads.map(lambda read: read(path), kinds))
    assert found == {sha256(data)}
    wait_until(lambda: attribute(path, "state") == "complete")
    assert shared.hub.log.content_bytes("read/many/model.bin") == len(data)


def test_the_head_of_a_large_file_costs_a_few_mebibytes(shared: Mounted) -> None:
    """Reading a part of a file downloads that part and a little around it, not the file."""
    data = blob(64 * MIB, seed=4)
    shared.hub.create_repo("read/head", {"model.bin": data})
    with (shared / "read/head/model.bin").open("rb") as file:
        assert file.read(8) == data[:8]
        file.seek(-8, os.SEEK_END)
        assert file.read() == data[-8:]
    log = shared.hub.log

    def is_kept() -> bool:
        cached = int(attribute(shared / "read/head/model.bin", "cached_bytes"))
        return cached == log.content_bytes("read/head/model.bin")

    log.wait_idle()
    wait_until(is_kept)
    assert log.content_bytes("read/head/model.bin") <= 12 * MIB


def test_an_empty_file_is_read_without_a_request(shared: Mounted) -> None:
    shared.hub.create_repo("read/empty", {"empty.bin": b"", "sub/empty.txt": b""})
    assert sizes_below(shared / "read/empty") == {"empty.bin": 0, "sub/empty.txt": 0}
    shared.hub.log.clear()
    assert (shared / "read/empty/empty.bin").read_bytes() == b""
    assert (shared / "read/empty/sub/empty.txt").read_bytes() == b""
    assert len(shared.hub.log) == 0


STRANGE = [
    "with space.txt",
    " leading and trailing .txt ",
    "50%.txt",
    "%20.txt",
    "100%25.txt",
    "a#b?c&d=e.txt",
    "plus+plus.txt",
    "ünïcödé/日本語/🤗.txt",
    "cafe\u0301.txt",  # not the same as its composed form
    "caf\u00e9.txt",
    "back\\slash:colon;semi'quote\"double.txt",
    "tab\tnewline\n.txt",
    "@at@/[brackets]{braces}.txt",
    "-rf",
    ".gitattributes",
    "...",
    "x" * 255,
    "é" * 127 + "x",
    "/".join(["deep"] * 60) + "/file.txt",
    "a/" * 1000 + "b",
]


def test_a_file_may_have_any_name_that_a_directory_can_show(shared: Mounted) -> None:
    """A file may have any name: with spaces, `#`, `%`, `?`, `+`, in any script, of 255 bytes."""
    files = {path: path.encode() for path in STRANGE}
    shared.hub.create_repo("read/strange", files)
    root = shared / "read/strange"
    assert {path: (root / path).read_bytes() for path in files} == files
    assert names(root) == {path.partition("/")[0] for path in files}


def test_large_files_may_be_strangely_named_too(shared: Mounted) -> None:
    files = {path: path.encode() * 50 for path in STRANGE}
    large = {path: File(data, lfs=True) for path, data in files.items()}
    shared.hub.create_repo("read/strange-lfs", large, kind="dataset")
    root = shared / "datasets/read/strange-lfs"
    assert {path: (root / path).read_bytes() for path in files} == files


def test_a_name_that_no_directory_can_show_is_left_out(shared: Mounted) -> None:
    """A name that no directory can show (`..`, over 255 bytes) is left out, counted and logged."""
    files = {"../evil": b"e", "a/../b": b"e", "y" * 256: b"e", "./c": b"e", "good/file": b"good"}
    shared.hub.create_repo("read/hostile", files)
    assert sizes_below(shared / "read/hostile") == {"good/file": 4}
    assert names(shared / "read/hostile") == {"good"}
    assert "read/hostile at" in shared.log
    assert "4 names cannot be shown as files" in shared.log


@pytest.mark.parametrize("action", ["ignore_range", "wrong_total", "short_body", "gzip"])
def test_a_server_that_misbehaves_cannot_spoil_a_byte(shared: Mounted, action: str) -> None:
    """A server that cuts, encodes or mislabels an answer cannot spoil a byte of what is read."""
    data = blob(10 * MIB, seed=len(action))
    repo = f"read/{action.replace('_', '-')}"
    shared.hub.create_repo(repo, {"model.bin": data})
    path = shared / f"{repo}/model.bin"
    for _ in range(3):
        shared.hub.faults.add(Fault(action, at=5000, path=f"{repo}/*"))  # type: ignore[arg-type]
    try:
        assert read_at_random(path) == sha256(data)
    finally:
        shared.hub.faults.clear()


def test_bytes_that_are_not_what_the_listing_promised_are_fetched_again(shared: Mounted) -> None:
    """Bytes that do not match their hash are never kept: they are fetched once more."""
    data = blob(3 * MIB, seed=5)
    shared.hub.create_repo("read/flipped", {"model.bin": data, "config.json": b"{}" * 50})
    for path in ("model.bin", "config.json"):
        shared.hub.faults.add(Fault("corrupt", at=77, path=f"read/flipped/{path}"))
    assert (shared / "read/flipped/model.bin").read_bytes() == data
    assert (shared / "read/flipped/config.json").read_bytes() == b"{}" * 50
    assert "fetching it again" in shared.log


def test_bytes_that_are_wrong_twice_are_an_error(shared: Mounted) -> None:
    """Wrong a second time, the read fails with EIO, and the log says why."""
    shared.hub.create_repo("read/wrong", {"model.bin": blob(MIB, seed=6)})
    shared.hub.faults.add(Fault("corrupt", at=77, path="read/wrong/*", times=None))
    try:
        assert errno_of((shared / "read/wrong/model.bin").read_bytes) == "EIO"
    finally:
        shared.hub.faults.clear()
    assert "twice; it is refused" in shared.log
    assert not [each for each in shared.blobs if each.stat().st_size == MIB]
    assert is_there(shared / "read/wrong/model.bin")
