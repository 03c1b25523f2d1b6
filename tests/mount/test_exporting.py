"""Links to the cache's own files: whoever writes to them never changes what is read."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfs.fuse import device
from hubfs.store.links import linking
from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import sha256
from tests.mount.mounted import Mounted
from tests.mount.waiting import wait_until

SIZE = 12 << 20
HALF = SIZE // 2
DATA = random.Random(17).randbytes(SIZE)
REPO, NAME = "acme/weights", "model.safetensors"
PATH = f"{REPO}/{NAME}"
REFUSAL = "a program has it open or mapped"


def complete(mounted: Mounted, hub: LocalHub) -> None:
    """Have the file here, seen afresh by the kernel."""
    hub.create_repo(REPO, {NAME: DATA})
    assert sha256(mounted / PATH) == sha256(DATA)
    wait_until(lambda: mounted.blobs)


def export(mounted: Mounted, folder: Path, code: int = 0) -> str:
    places = ("--cache-dir", mounted.cache, "--endpoint", mounted.hub.endpoint)
    done = mounted.hubfs("export", REPO, folder, "--link", *places)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stderr


def may_be_linked(mounted: Mounted) -> bool:
    """Whether the kernel has let go of the file, which it does a moment after it was closed."""
    with mounted.blobs[0].open("rb") as file, linking(file.fileno()) as is_allowed:
        return is_allowed


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[ctypes.Array[ctypes.c_char]]:
    """The file in memory, its descriptor closed, as loaders leave it; Python's mmap keeps one."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    with path.open("rb") as file:
        address = libc.mmap(None, SIZE, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    try:
        yield (ctypes.c_char * SIZE).from_address(address)
    finally:
        libc.munmap(address, SIZE)


def spoil(path: Path) -> None:
    """Write to the second half of a linked file."""
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    with path.open("r+b") as file:
        file.seek(HALF)
        file.write(bytes(HALF))


@pytest.mark.parametrize("way", ["on", "off"])
def test_an_exported_link_that_is_changed_in_place_never_gives_a_wrong_byte(
    hub: LocalHub, mount: Mount, tmp_path: Path, way: str
) -> None:
    """What was exported with `--link`, and is then changed in place, gives none either.

    Of what is open or mapped at that moment no link is made, and `hubfs export` says so.
    """
    if way == "on" and not device.can_mount():
        pytest.skip("the kernel passes reads through for root only")
    folder = tmp_path / "plain"
    mounted = mount("--passthrough", way)
    complete(mounted, hub)
    mounted.remount("--passthrough", way)
    with (mounted / PATH).open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), HALF, 0) == DATA[:HALF]
        assert REFUSAL in export(mounted, folder, code=1)
        assert not folder.exists()
        folder.mkdir()
        # Who makes a link without asking.
        os.link(mounted.blobs[0], folder / NAME)
        if way == "off":
            spoil(folder / NAME)
        (folder / NAME).unlink()
        assert os.pread(file.fileno(), HALF, HALF) == DATA[HALF:]
    wait_until(lambda: mounted.blobs and may_be_linked(mounted))
    export(mounted, folder)
    spoil(folder / NAME)
    assert (mounted / PATH).read_bytes() == DATA


@pytest.mark.skipif(not device.can_mount(), reason="the kernel passes reads through for root only")
def test_nothing_is_linked_that_is_mapped_through_a_mount_whose_daemon_was_killed(
    hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    """Of what is mapped no link is made, though its descriptor is closed."""
    mounted = mount("--passthrough", "on")
    complete(mounted, hub)
    mounted.remount("--passthrough", "on")
    assert (mounted / PATH).read_bytes() == DATA
    with mapped(mounted / PATH) as view:
        mounted.kill()
        assert REFUSAL in export(mounted, tmp_path / "plain", code=1)
        mounted.mount("--passthrough", "on")
        assert REFUSAL in export(mounted, tmp_path / "plain", code=1)
        assert view.raw == DATA
    wait_until(lambda: may_be_linked(mounted))
    export(mounted, tmp_path / "plain")


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_blob_that_was_touched_from_outside_is_read_before_it_is_trusted(
    hub: LocalHub, mount: Mount, *, is_changed: bool
) -> None:
    """No time that can be set back is gone by.

    A blob that was touched from outside (chmod, chown, another name, a restored backup) is read
    whole once before it is trusted again.
    """
    mounted = mount()
    complete(mounted, hub)
    mounted.remount()
    hub.log.clear()
    blob = mounted.blobs[0]
    blob.chmod(0o644)
    if is_changed:
        spoil(blob)
        os.utime(blob, (1e9, 1e9))
    assert (mounted / PATH).read_bytes() == DATA
    assert hub.log.content_bytes() == (SIZE if is_changed else 0)
