"""Where a token goes, and where it never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.localhub import Fault, LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of, sha256
from tests.mount.mounted import Mounted
from tests.mount.test_errors import leave_token
from tests.mount.test_reading import MIB, blob

SECRET = "hf_SecretThatNobodyMaySee"
DATA = blob(9 * MIB, seed=61)


@pytest.fixture
def mounted(mount: Mount, hub: LocalHub) -> Mounted:
    """Mounted with a token, and used in every way that may fail."""
    hub.add_token(SECRET, ["acme/*"])
    hub.create_repo("acme/private", {"model.bin": DATA, "config.json": b"{}"}, private=True)
    hub.create_repo("acme/gated", {"model.bin": DATA[::-1]}, gated="auto")
    hub.create_repo("other/gated", {"model.bin": DATA[9:]}, gated="auto")
    hub.add_alias("old", "acme/private")
    hub.faults.add(
        Fault("expired", origin="cdn"),
        Fault("status", status=500, origin="cdn"),
        Fault("status", status=503, origin="hub"),
        Fault("reset_after", origin="hub"),
    )
    mounted = mount(HF_TOKEN=SECRET)
    assert sha256(mounted / "old/model.bin") == sha256(DATA)
    assert (mounted / "acme/private/config.json").read_bytes() == b"{}"
    assert sha256(mounted / "acme/gated/model.bin") == sha256(DATA[::-1])
    assert errno_of((mounted / "other/gated/model.bin").read_bytes) == "EACCES"
    assert errno_of((mounted / "acme/absent").stat) == "ENOENT"
    return mounted


def test_the_token_goes_to_the_endpoint_and_nowhere_else(mounted: Mounted, hub: LocalHub) -> None:
    """The token is sent to the endpoint's own origin only, never to where a file's bytes are."""
    asked = {origin: hub.log.requests(origin=origin) for origin in ("hub", "cdn")}
    assert {each.authorization for each in asked["hub"]} == {f"Bearer {SECRET}"}
    assert {each.authorization for each in asked["cdn"]} == {None}


def test_the_token_is_written_nowhere(mounted: Mounted) -> None:
    """It is never written: not to the log, the cache, attributes or the process title."""
    command = Path(f"/proc/{mounted.pid}/cmdline").read_bytes()
    mounts = Path("/proc/self/mountinfo").read_bytes()
    root = mounted / "acme/private"
    attributes = [
        os.getxattr(path, name)
        for path in (root, root / "model.bin")
        for name in os.listxattr(path)
    ]
    assert not [each for each in (command, mounts, *attributes) if SECRET.encode() in each]
    mounted.terminate()
    for path in [*mounted.cache.rglob("*"), *Path(mounted.environment["HOME"]).rglob("*")]:
        if path.is_file():
            assert not holds(path, SECRET.encode()), path


def test_signed_addresses_are_not_logged(mounted: Mounted) -> None:
    """Addresses that are signed are keys too, and are not logged."""
    log = mounted.log
    assert "acme/private" in log
    assert not [word for word in ("Signature", "Key-Pair-Id", "xet-bridge") if word in log]


def test_a_token_in_a_file_is_used_too(mount: Mount, hub: LocalHub) -> None:
    hub.add_token(SECRET, ["acme/*"])
    hub.create_repo("acme/private", {"config.json": b"{}"}, private=True)
    mounted = mount()
    leave_token(mounted, SECRET)
    mounted.remount()
    assert (mounted / "acme/private/config.json").read_bytes() == b"{}"
    assert SECRET not in mounted.log


def holds(path: Path, wanted: bytes) -> bool:
    """Whether a file, which may be mostly a hole, holds `wanted`."""
    with path.open("rb") as file:
        at, size = 0, path.stat().st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return False  # nothing but a hole is left
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            if wanted in os.pread(file.fileno(), end - at, at):
                return True
            at = end
    return False
