"""Complete files, read by the kernel itself or through the daemon: the bytes are the same."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hubfs.fuse import device
from tests.localhub import Fault, LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import open_files
from tests.mount.mounted import Mounted
from tests.mount.waiting import PATIENCE, wait_until

SIZE = 24 * 1024 * 1024 + 12345
DATA = random.Random(7).randbytes(SIZE)
REPO = "acme/weights"
NAME = "model.safetensors"
PATH = f"{REPO}/{NAME}"

needs_root = pytest.mark.skipif(
    not device.can_mount(), reason="the kernel passes reads through for root only"
)


@pytest.fixture(params=["on", "off"])
def way(request: pytest.FixtureRequest) -> str:
    """With passthrough, and without."""
    if request.param == "on" and not device.can_mount():
        pytest.skip("the kernel passes reads through for root only")
    return str(request.param)


@pytest.fixture
def warm(way: str, hub: LocalHub, mount: Mount) -> Mounted:
    """A mount whose one file is complete, seen afresh by the kernel."""
    hub.create_repo(REPO, {NAME: DATA})
    mounted = mount("--passthrough", way)
    complete(mounted)
    mounted.remount("--passthrough", way)
    return mounted


def complete(mounted: Mounted) -> None:
    assert hashlib.sha256((mounted / PATH).read_bytes()).digest() == hashlib.sha256(DATA).digest()
    wait_until(lambda: os.getxattr(mounted / PATH, "user.hubfs.state") == b"complete")


def spans(count: int) -> list[tuple[int, int]]:
    draw = random.Random(3)
    return [(draw.randrange(SIZE), draw.choice([1, 4096, 70_000, 2_000_000])) for _ in range(count)]


def test_preads_anywhere_give_the_bytes(warm: Mounted) -> None:
    """Complete files read the same in every way: read, pread, mmap, sendfile, O_DIRECT."""
    file = os.open(warm / PATH, os.O_RDONLY)
    try:
        for offset, size in spans(200):
            assert os.pread(file, size, offset) == DATA[offset : offset + size]
    finally:
        os.close(file)


@pytest.mark.parametrize("flags", [mmap.MAP_SHARED, mmap.MAP_PRIVATE, mmap.MAP_SHARED | 0x8000])
def test_mappings_give_the_bytes(warm: Mounted, flags: int) -> None:
    """Complete files read the same in every way: read, pread, mmap, sendfile, O_DIRECT."""
    with (
        (warm / PATH).open("rb") as file,
        mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ) as view,
    ):
        for offset, size in spans(100):
            assert view[offset : offset + size] == DATA[offset : offset + size]


def test_sendfile_gives_the_bytes(warm: Mounted) -> None:
    """Complete files read the same in every way: read, pread, mmap, sendfile, O_DIRECT."""
    left, right = socket.socketpair()
    with (warm / PATH).open("rb") as file, left, right:
        for offset, _ in spans(50):
            count = os.sendfile(left.fileno(), file.fileno(), offset, 4096)
            assert right.recv(count, socket.MSG_WAITALL) == DATA[offset : offset + 4096]


def test_direct_reads_give_the_bytes(warm: Mounted) -> None:
    """Complete files read the same in every way: read, pread, mmap, sendfile, O_DIRECT."""
    with mmap.mmap(-1, 1 << 20) as buffer:
        file = os.open(warm / PATH, os.O_RDONLY | os.O_DIRECT)
        try:
            for offset in range(0, SIZE, 5 << 20):
                count = os.preadv(file, [buffer], offset)
                assert buffer[:count] == DATA[offset : offset + (1 << 20)]
        finally:
            os.close(file)


@needs_root
def test_complete_files_never_come_to_the_daemon_again(hub: LocalHub, mount: Mount) -> None:
    """As root on Linux 6.9 and newer the kernel reads complete files by itself."""
    hub.create_repo(REPO, {NAME: DATA})
    mounted = mount("--passthrough", "on")
    assert mode_of(mounted)["way"] == "passthrough"
    complete(mounted)
    with (mounted / PATH).open("rb") as file:
        os.kill(mounted.pid, signal.SIGSTOP)
        try:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(DATA).digest()
        finally:
            os.kill(mounted.pid, signal.SIGCONT)


def mode_of(mounted: Mounted) -> dict[str, str]:
    status = mounted.hubfs("status", "--json", "--cache-dir", mounted.cache)
    mode: dict[str, str] = json.loads(status.stdout)["mode"]
    return mode


@needs_root
def test_a_cache_that_the_kernel_refuses_is_read_all_the_same(
    hub: LocalHub, mount: Mount, stacked: Path
) -> None:
    """`hubfs status` and `hubfs doctor` say how files are read, and why so."""
    hub.create_repo(REPO, {NAME: DATA})
    mounted = mount(cache=stacked / "cache")
    complete(mounted)
    mode = mode_of(mounted)
    assert (mode["way"], "overlayfs" in mode["reason"]) == ("relay", True)
    assert mode["reason"] in (mounted / ".hubfs/status").read_text()
    assert f"relay ({mode['reason']})" in verdict_on(mounted)
    mounted.kill()
    assert "its daemon is dead" in verdict_on(mounted)
    done = mounted.hubfs(*mounted.mount_command("--passthrough", "on"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"hubfs: no passthrough: {mode['reason']}\n")
    assert "Traceback" not in mounted.log


def verdict_on(mounted: Mounted) -> str:
    """What doctor says of the mount."""
    options = ("--json", "--cache-dir", mounted.cache, "--endpoint", mounted.hub.endpoint)
    done = mounted.hubfs("doctor", *options)
    told = [each["finding"] for each in json.loads(done.stdout)["verdicts"]]
    (found,) = (each for each in told if f" at {mounted.root}: " in each)
    return str(found)


@pytest.fixture
def stacked(tmp_path: Path) -> Iterator[Path]:
    """A directory on overlayfs, as in a container."""
    lower, upper, work, stack = (tmp_path / name for name in ("lower", "upper", "work", "stack"))
    for each in (lower, upper, work, stack):
        each.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, stack], check=True)
    yield stack
    subprocess.run(["umount", "--lazy", stack], check=True)


@needs_root
def test_a_mapping_of_a_complete_file_survives_the_daemon(hub: LocalHub, mount: Mount) -> None:
    """The kernel has what it needs.

    Open files and mappings of complete files outlive a daemon that is killed (with passthrough).
    """
    hub.create_repo(REPO, {NAME: DATA})
    mounted = mount("--passthrough", "on")
    complete(mounted)
    with (
        (mounted / PATH).open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view,
    ):
        mounted.kill()
        assert hashlib.sha256(view).digest() == hashlib.sha256(DATA).digest()
        assert os.pread(file.fileno(), 4096, SIZE - 4096) == DATA[-4096:]
        mounted.mount("--passthrough", "on")
        assert hashlib.sha256((mounted / PATH).read_bytes()).digest() == (
            hashlib.sha256(DATA).digest()
        )
        assert view[12345] == DATA[12345]


READER = """
import os, random, sys
path, source, seed, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
draw = random.Random(seed)
truth = os.open(source, os.O_RDONLY)
size = os.fstat(truth).st_size
for _ in range(rounds):
    file = os.open(path, os.O_RDONLY)
    for _ in range(4):
        offset = draw.randrange(size)
        if os.pread(file, 65536, offset) != os.pread(truth, 65536, offset):
            sys.exit(f"wrong bytes at {offset}")
    os.close(file)
"""


def test_32_processes_read_a_file_while_it_becomes_complete(
    way: str, hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    """A file that is opened while it turns from cold to complete never fails and never lies."""
    source = tmp_path / "source"
    source.write_bytes(DATA)
    hub.create_repo(REPO, {NAME: source})
    hub.bandwidth = 10_000_000
    mounted = mount("--passthrough", way, "--fill", "always")
    with ExitStack() as stack:
        readers = []
        for seed in range(32):
            places = [str(mounted / PATH), str(source)]
            command = [sys.executable, "-c", READER, *places, str(seed), "40"]
            child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            readers.append(stack.enter_context(child))
            stack.callback(child.kill)
        for reader in readers:
            _, complaint = reader.communicate(timeout=2 * PATIENCE)
            assert reader.returncode == 0, complaint
    assert hub.log.content_bytes() <= SIZE
    complete(mounted)


@needs_root
def test_a_killed_reader_of_a_stalled_file_leaves_at_once(hub: LocalHub, mount: Mount) -> None:
    """A killed reader goes away at once, whatever the Hub does."""
    hub.create_repo(REPO, {NAME: DATA}, gated="manual")
    hub.faults.add(Fault("slow_headers", seconds=120, path=f"*{NAME}*", times=None))
    mounted = mount("--passthrough", "on", "--idle-timeout", "100", HF_TOKEN="hf_test")
    assert (mounted / REPO).is_dir()
    # A gated file is tried at open, and there only the daemon can let go.
    child = subprocess.Popen(["cat", mounted / PATH], stdout=subprocess.DEVNULL)
    try:
        hub.log.wait_until(lambda log: bool(log.requests(path_contains="/resolve/")))
    finally:
        child.kill()
    assert child.wait(timeout=5) == -signal.SIGKILL


def test_ten_thousand_opens_leave_nothing_behind(warm: Mounted) -> None:
    """Nothing leaks: descriptors and memory are back where they were after many opens."""
    open_and_read(warm / PATH, 500)
    before = footprint(warm.pid)
    open_and_read(warm / PATH, 10_000)
    # Something else of the daemon's may hold a descriptor at this very moment; a leak stays.
    wait_until(lambda: footprint(warm.pid)[0] <= before[0])
    assert footprint(warm.pid)[1] <= before[1] + 8 * 1024


def open_and_read(path: Path, times: int) -> None:
    for _ in range(times):
        file = os.open(path, os.O_RDONLY)
        assert os.pread(file, 1, 5) == DATA[5:6]
        os.close(file)


def footprint(pid: int) -> tuple[int, int]:
    """How many descriptors a process has, once closed ones are released, and its KiB of memory."""
    folder = Path(f"/proc/{pid}")
    wait_until(lambda: not any("blobs" in each for each in open_files(pid)))
    resident = next(
        line for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return len(open_files(pid)), int(resident.split()[1])
