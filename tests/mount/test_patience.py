"""Readers outlast a Hub that falters, and nobody waits for ever."""

from __future__ import annotations

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.localhub import Fault, LocalHub
from tests.mount.children import reading, run_reader
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of, sha256
from tests.mount.mounted import HUBFS, Mounted
from tests.mount.test_reading import MIB, blob
from tests.mount.waiting import PATIENCE, wait_until

DATA = blob(20 * MIB, seed=51)
REPO = "acme/faltering"
SILENT = Fault("stall_after", at=1000, seconds=None, path=f"{REPO}/*", times=None)


@pytest.fixture
def path(mount: Mount, hub: LocalHub) -> Path:
    """A large file, not yet here."""
    return the_mount(mount, hub) / REPO / "model.bin"


def the_mount(mount: Mount, hub: LocalHub, *options: str) -> Mounted:
    hub.create_repo(REPO, {"model.bin": DATA, "config.json": b"{}"})
    mounted = mount("--idle-timeout", "1", *options)
    assert (mounted / REPO / "model.bin").stat().st_size == len(DATA)
    return mounted


def wait_for_content(hub: LocalHub) -> None:
    """Wait until bytes of the file have been asked for."""
    hub.log.wait_until(lambda log: any(each.is_content for each in log), PATIENCE)


FALTERING = {
    "resets": [Fault("reset_after", at=at, path=f"{REPO}/*") for at in (0, 1, 70_000)],
    "silence": [Fault("stall_after", at=99, seconds=None, path=f"{REPO}/*")],
    "no answers": [Fault("close_before_answer", path=f"{REPO}/*", times=3)],
    "5xx": [Fault("status", status=status, path=f"{REPO}/*") for status in (500, 502, 503, 504)],
    "429": [Fault("status", status=429, headers={"Retry-After": "1"}, path=f"{REPO}/*")],
    "expired": [Fault("expired", origin="cdn", path=f"{REPO}/*", times=2)],
    "slow heads": [Fault("slow_headers", seconds=None, path=f"{REPO}/*")],
}


@pytest.mark.parametrize("faults", FALTERING)
def test_a_read_outlasts_what_passes(path: Path, hub: LocalHub, faults: str) -> None:
    """A read goes on through resets, silence, 5xx, 429 and expired addresses, inside `read()`."""
    hub.faults.add(*FALTERING[faults])
    assert sha256(path) == sha256(DATA)
    assert not hub.faults.waiting


def test_a_look_outlasts_what_passes(mount: Mount, hub: LocalHub) -> None:
    hub.create_repo(REPO, {"config.json": b"{}"})
    mounted = mount()
    hub.faults.add(Fault("status", status=503), Fault("reset_after"))
    hub.faults.add(Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=1'}))
    assert (mounted / REPO / "config.json").read_bytes() == b"{}"
    assert not hub.faults.waiting


def test_readers_outlast_an_outage(path: Path, hub: LocalHub) -> None:
    """A reader that waits when the Hub goes away has its bytes when the Hub is back.

    One that has mapped the file is not killed by SIGBUS.
    """
    hub.faults.add(SILENT)
    with ThreadPoolExecutor() as threads:
        sequential = threads.submit(sha256, path)
        mapped = threads.submit(run_reader, "map-whole", path)
        wait_for_content(hub)
        hub.down()
        hub.faults.clear()
        hub.up()
        assert sequential.result(PATIENCE) == mapped.result(PATIENCE) == sha256(DATA)


def test_nobody_waits_for_ever(mount: Mount, hub: LocalHub) -> None:
    """When nothing has come for `--read-timeout` seconds, a read is EIO; a later one tries anew."""
    path = the_mount(mount, hub, "--read-timeout", "2") / REPO / "model.bin"
    hub.faults.add(Fault("stall_after", seconds=None, path=f"{REPO}/*", times=None))
    assert errno_of(path.read_bytes) == "EIO"
    hub.faults.clear()
    deadline = time.monotonic() + PATIENCE
    while errno_of(path.read_bytes) and time.monotonic() < deadline:
        pass
    assert sha256(path) == sha256(DATA)


def test_a_slow_line_is_no_silence(mount: Mount, hub: LocalHub) -> None:
    """A download may take as long as it takes: only silence is given up."""
    root = the_mount(mount, hub, "--read-timeout", "2") / REPO
    hub.push(REPO, {"small.bin": DATA[: 3 * MIB]})
    hub.bandwidth = 1e6  # three seconds: longer than both limits
    assert sha256(root.with_name("faltering@main") / "small.bin") == sha256(DATA[: 3 * MIB])


@pytest.mark.parametrize("reader", ["read-at", "touch-mapped"])
def test_a_killed_reader_goes_away(path: Path, hub: LocalHub, reader: str) -> None:
    """A reader that is killed goes away at once, whatever the Hub does."""
    hub.faults.add(SILENT)
    numbers = [9 * MIB, 100] if reader == "read-at" else [9 * MIB]
    with reading(reader, path, *numbers) as child:
        wait_for_content(hub)
        child.kill()
        assert child.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_reader_goes_away(path: Path, hub: LocalHub, number: signal.Signals) -> None:
    hub.faults.add(SILENT)
    with subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL) as child:
        wait_for_content(hub)
        child.send_signal(number)
        assert child.wait(10) == -number


def test_a_reader_that_handles_its_interrupts_reads_on(path: Path, hub: LocalHub) -> None:
    """Its handler runs later than it might.

    (A program that handles Ctrl-C itself, as Python does, gets to it when its read ends.)
    """
    hub.faults.add(SILENT)
    with reading("read-at", path, 9 * MIB, 100) as child:
        wait_for_content(hub)
        child.send_signal(signal.SIGINT)
        hub.faults.clear()
        assert child.wait(PATIENCE) == -signal.SIGINT


def test_a_reader_that_goes_away_takes_no_download_with_it(path: Path, hub: LocalHub) -> None:
    hub.faults.add(SILENT)
    with (
        reading("read-at", path, 9 * MIB, 100) as killed,
        reading("read-at", path, 9 * MIB, 200) as other,
    ):
        wait_for_content(hub)
        killed.kill()
        killed.wait(10)
        hub.faults.clear()
        assert other.communicate()[0].strip() == sha256(DATA[9 * MIB : 9 * MIB + 200])


def test_nobody_waits_behind_the_download_of_another_file(
    path: Path, mount: Mount, hub: LocalHub
) -> None:
    """Nobody waits behind another's download: names, other files, other places of the same file."""
    hub.create_repo("acme/quick", {"model.bin": DATA[::-1]})
    hub.faults.add(SILENT)
    root = path.parents[2]
    with reading("read-at", path, 0, 100):
        wait_for_content(hub)
        assert path.stat().st_size == len(DATA)
        assert (path.parent / "config.json").exists()
        assert (root / "acme/quick/model.bin").read_bytes() == DATA[::-1]


def test_nobody_waits_behind_a_name_that_the_hub_thinks_about(mount: Mount, hub: LocalHub) -> None:
    mounted = the_mount(mount, hub)
    assert (mounted / REPO / "config.json").exists()
    slow = Fault("slow_headers", seconds=None, path="/api/models/acme/slow", times=None)
    hub.faults.add(slow)
    with subprocess.Popen(["stat", mounted / "acme/slow"], stderr=subprocess.DEVNULL) as stuck:
        hub.log.wait_until(lambda log: bool(log.requests(path_contains="acme/slow")))
        assert sha256(mounted / REPO / "model.bin") == sha256(DATA)
        hub.faults.clear()
        stuck.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_daemon_even_while_readers_wait(
    mount: Mount, hub: LocalHub, number: signal.Signals
) -> None:
    """SIGTERM and SIGINT unmount within 5 seconds; readers that wait get EIO."""
    mounted = the_mount(mount, hub, "--idle-timeout", "60")
    hub.faults.add(SILENT)
    path = mounted / REPO / "model.bin"
    with (
        reading("read-at", path, 0, 100) as first,
        reading("read-at", path, 9 * MIB, 100) as second,
    ):
        wait_for_content(hub)
        assert mounted.signal(number, 5)
        for child in (first, second):
            assert child.communicate(timeout=10)[0].strip() == "EIO"
    assert not mounted.is_mounted


def test_a_signal_stops_the_daemon_while_a_name_is_looked_up(mount: Mount, hub: LocalHub) -> None:
    mounted = the_mount(mount, hub, "--idle-timeout", "60")
    for path in ("/api/models", "/api/models/acme/other"):
        hub.faults.add(Fault("slow_headers", seconds=None, path=path, times=None))
    lookups = [
        subprocess.Popen(["stat", mounted / name], stderr=subprocess.DEVNULL)
        for name in ("unknown", "acme/other")
    ]
    hub.log.wait_until(lambda log: len(log.requests(path_contains="/api/models/acme/other")) > 0)
    hub.log.wait_until(lambda log: len(log.requests(path_contains="author=unknown")) > 0)
    assert mounted.signal(signal.SIGTERM, 5)
    assert [each.wait(10) for each in lookups] == [1, 1]
    assert not mounted.is_mounted


def test_a_busy_mount_is_not_unmounted_unless_lazily(mount: Mount, hub: LocalHub) -> None:
    """`hubfs umount` refuses while files are open; `--lazy` detaches at once, and readers go on."""
    mounted = the_mount(mount, hub)
    with (mounted / REPO / "model.bin").open("rb") as file:
        refused = mounted.hubfs("umount", mounted.root)
        assert refused.returncode == 1
        assert "busy" in refused.stderr
        assert mounted.hubfs("umount", "--lazy", mounted.root).returncode == 0
        assert not mounted.is_mounted
        assert file.read() == DATA
    assert mounted.wait_for_end()


def test_a_mount_whose_daemon_hangs_is_unmounted_by_force(mount: Mount, hub: LocalHub) -> None:
    """`--force` ends a mount whose daemon does not answer."""
    mounted = the_mount(mount, hub)
    mounted.signal(signal.SIGSTOP, 0)
    command = [HUBFS, "umount", "--force", str(mounted.root)]
    with (
        subprocess.Popen(["stat", mounted / "hung"], stderr=subprocess.DEVNULL) as stuck,
        subprocess.Popen(command, env=mounted.environment) as unmounting,
    ):
        assert stuck.wait(PATIENCE) == 1
        wait_until(lambda: not mounted.is_mounted)
        mounted.signal(signal.SIGCONT, 0)
        assert unmounting.wait(PATIENCE) == 0
        assert mounted.wait_for_end()
