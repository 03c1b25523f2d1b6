"""A blob goes bad under a mount: it is found, set aside, fetched again, and read right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hubfs.fuse import device
from hubfs.model.content import Content
from hubfs.store.store import Store
from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of, sha256
from tests.mount.mounted import Mounted
from tests.mount.test_reading import MIB, blob
from tests.mount.waiting import wait_until

DATA = blob(12 * MIB, seed=81)
REPO = "acme/model"
PATH = f"{REPO}/model.bin"


@pytest.fixture(params=["on", "off"])
def mounted(request: pytest.FixtureRequest, mount: Mount, hub: LocalHub) -> Mounted:
    """A mount whose one large file is complete."""
    if request.param == "on" and not device.can_mount():
        pytest.skip("the kernel passes reads through for root only")
    hub.create_repo(REPO, {"model.bin": DATA})
    mounted = mount("--passthrough", request.param)
    assert sha256(mounted / PATH) == sha256(DATA)
    wait_until(lambda: len(mounted.blobs) == 1)
    return mounted


def flip(path: Path, offset: int = 5 * MIB) -> None:
    """Change a byte on disk, and in what the kernel has of the disk."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes([DATA[offset] ^ 1]))
    path.chmod(0o444)


def rot(mounted: Mounted, request: pytest.FixtureRequest) -> None:
    """Flip a byte as a disk does, of which no time tells: the file is as when it was recorded."""
    mounted.terminate()
    (bad,) = mounted.blobs
    flip(bad)
    store = Store(mounted.cache)
    store.blobs.record(bad.name, Content(len(DATA), sha256=bad.name))
    store.close()
    mounted.mount("--passthrough", request.node.callspec.params["mounted"])


def verify(mounted: Mounted, *options: str, code: int = 0) -> str:
    done = mounted.hubfs("verify", *options, "--cache-dir", mounted.cache)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def test_a_bad_blob_is_found_set_aside_and_fetched_again(mounted: Mounted, hub: LocalHub) -> None:
    """What a user does who does not trust the disk.

    A blob that is found to be bad is moved to `bad` in the cache and never opened again; its
    bytes come anew when they are read.
    """
    assert "nothing is wrong" in verify(mounted)
    flip(mounted.blobs[0])
    said = verify(mounted, code=1)
    assert f"{PATH.rpartition('/')[2]}  set aside" in said
    assert str(mounted.cache / "bad") in said
    assert mounted.blobs == []
    assert len(list((mounted.cache / "bad").iterdir())) == 1
    assert sha256(mounted / PATH) == sha256(DATA)
    assert hub.log.content_bytes() == 2 * len(DATA)
    wait_until(lambda: len(mounted.blobs) == 1)
    assert "nothing is wrong" in verify(mounted, REPO)
    assert mounted.log.count("set aside") == 1


def test_pages_of_a_bad_blob_are_not_kept(
    mounted: Mounted, hub: LocalHub, request: pytest.FixtureRequest
) -> None:
    """Nor does it help that the kernel has read it: with --repair all is right at once."""
    rot(mounted, request)
    assert sha256(mounted / PATH) != sha256(DATA)
    assert "1 fetched again" in verify(mounted, "--repair", "-j", "1", code=1)
    hub.down()
    assert sha256(mounted / PATH) == sha256(DATA)
    assert os.getxattr(mounted / PATH, "user.hubfs.state") == b"complete"


def test_who_has_a_bad_blob_open_is_served_right_or_keeps_it_alone(
    mounted: Mounted, request: pytest.FixtureRequest
) -> None:
    """The kernel keeps to the file that it reads by itself.

    Programs that have the file open read the right bytes from then on. Only with passthrough they
    keep what they have, and until they close it nobody else can open the file: EIO.
    """
    rot(mounted, request)
    with (mounted / PATH).open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1, 5 * MIB) != DATA[5 * MIB : 5 * MIB + 1]
        verify(mounted, "--repair", code=1)
        if request.node.callspec.params["mounted"] == "on":
            assert errno_of((mounted / PATH).read_bytes) == "EIO"
            assert "went bad while programs read it through the kernel" in mounted.log
        else:
            assert os.pread(file.fileno(), 1, 5 * MIB) == DATA[5 * MIB : 5 * MIB + 1]
            assert sha256(mounted / PATH) == sha256(DATA)
    wait_until(lambda: not errno_of((mounted / PATH).read_bytes))
    assert sha256(mounted / PATH) == sha256(DATA)


def test_a_bad_blob_is_found_without_being_asked_for(mount: Mount, hub: LocalHub) -> None:
    """A daemon looks by itself, slowly unless told otherwise.

    Behind everything else the daemon hashes complete files again, once a month (`--scrub`).
    """
    hub.create_repo(REPO, {"model.bin": DATA})
    mounted = mount("--scrub", "off")
    assert sha256(mounted / PATH) == sha256(DATA)
    wait_until(lambda: len(mounted.blobs) == 1)
    flip(mounted.blobs[0])
    mounted.remount("--scrub", "500M")
    wait_until(lambda: "last ended" in mounted.hubfs("status", "--cache-dir", mounted.cache).stdout)
    assert mounted.blobs == []
    assert mounted.log.count("set aside") == 1
    assert "1 flaws found" in (mounted / ".hubfs/status").read_text()
    assert sha256(mounted / PATH) == sha256(DATA)
