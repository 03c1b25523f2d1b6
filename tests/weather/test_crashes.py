"""kill -9, again and again, while programs read in every manner: no wrong byte, little lost."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lmdb
import pytest

from hubfs.fetch.settler import CLAIM_EVERY
from hubfs.store.records import PartialRecord, unpack
from tests.fetch.samples import sample
from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.mounted import Mounted
from tests.mount.waiting import PATIENCE, wait_until
from tests.weather.marks import mounts
from tests.weather.readers import WRONG, start

pytestmark = mounts

MIB = 1 << 20
REPO = "acme/model"
ON_ITS_WAY = 64 * MIB  # what stands in sockets' buffers, and is written and not yet claimed


class Crashes:
    """A mount that is killed at a moment of chance, and the programs that read it."""

    def __init__(self, hub: LocalHub, mounted: Mounted, longest: float) -> None:
        self.hub = hub
        self.mounted = mounted
        self.longest = longest
        self.chance = random.Random(7)
        self.sent: list[int] = []  # by the hub, in each life

    def live_and_die(self, readers: subprocess.Popen[str], most: int) -> None:
        """One life: mounted, read by all, killed once up to `most` bytes have come."""
        self.mounted.mount("--passthrough", self.chance.choice(["auto", "off"]))
        before = self.hub.log.content_bytes()
        enough = before + self.chance.randrange(most)
        assert readers.stdin is not None
        assert readers.stdout is not None
        readers.stdin.write(f"{self.chance.randrange(1 << 30)}\n")
        readers.stdin.flush()
        assert readers.stdout.readline() == "ready\n"
        with suppress(TimeoutError):  # all of it may be here by now
            self.hub.log.wait_until(lambda log: log.content_bytes() >= enough, self.longest)
        self.mounted.kill()
        ends = json.loads(readers.stdout.readline())
        assert WRONG not in ends.values(), ends
        self.hub.log.wait_idle(PATIENCE)
        self.sent.append(self.hub.log.content_bytes() - before)

    def lost(self, size: int) -> tuple[int, int]:
        """(bytes that had to be fetched more than once, the most that these deaths may cost)."""
        most = sum(min(sent, CLAIM_EVERY + ON_ITS_WAY) for sent in self.sent)
        return self.hub.log.content_bytes() - size, most


@contextmanager
def readers_of(pairs: list[tuple[Path, Path]]) -> Iterator[subprocess.Popen[str]]:
    """Processes that read the files, a new set for each line that they are sent."""
    paths = [path for pair in pairs for path in pair]
    with start("read-through-crashes", *paths, stdin=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def survive(
    mount: Mount, hub: LocalHub, files: dict[str, Path], rounds: int, longest: float
) -> tuple[int, int]:
    """Let a mount die so many times; return what was lost, and what may have been.

    At no moment is a blob on disk that is not what its name says, and in the
    end every file is read right.
    """
    size = sum(path.stat().st_size for path in files.values())
    hub.create_repo(REPO, files)
    mounted = mount()
    assert (mounted / REPO).is_dir()
    mounted.terminate()
    crashes = Crashes(hub, mounted, longest)
    with readers_of([(mounted / REPO / name, right) for name, right in files.items()]) as readers:
        for _ in range(rounds):
            crashes.live_and_die(readers, most=size // 2)
            check_blobs(mounted)
    mounted.mount()
    for name, right in files.items():
        assert digest(mounted / REPO / name) == digest(right), name
    wait_until(lambda: len(mounted.blobs) == len(files))
    check_blobs(mounted)
    hub.log.wait_idle(PATIENCE)
    return crashes.lost(size)


def check_blobs(mounted: Mounted) -> None:
    for blob in mounted.blobs:
        assert digest(blob) == blob.name


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written(scratch: Path, sizes: dict[str, int]) -> dict[str, Path]:
    """Files of these sizes, no two of whose blocks are the same."""
    found = {}
    for number, (name, size) in enumerate(sizes.items()):
        found[name] = scratch / name
        block = sample(8 * MIB, seed=number)
        with found[name].open("wb") as file:
            for at in range(0, size, len(block)):
                file.write((at.to_bytes(8) + block[8:])[: size - at])
    return found


def test_ten_crashes_under_all_kinds_of_readers_spoil_nothing(
    mount: Mount, hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.bandwidth = 50 * MIB  # so that what the hub has counted has arrived, more or less
    sizes = {"one.bin": 24 * MIB + 1, "two.bin": 10 * MIB, "three.bin": 3 * MIB, "config.json": 99}
    lost, most = survive(mount, hub, written(tmp_path, sizes), rounds=10, longest=0.5)
    assert lost <= most
    tell(capsys, f"10 crashes: {lost / MIB:.1f} MiB fetched again, {most / MIB:.1f} allowed")


@pytest.mark.nightly
@pytest.mark.timeout(3600, method="signal")
def test_a_hundred_crashes_spoil_nothing_and_cost_a_batch_each_at_most(
    mount: Mount, hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.bandwidth = 100 * MIB
    sizes = {f"{number}.bin": 300 * MIB + number for number in range(4)}
    sizes |= {"five.bin": 5 * MIB, "config.json": 99}
    lost, most = survive(mount, hub, written(tmp_path, sizes), rounds=100, longest=8.0)
    assert lost <= most
    tell(capsys, f"100 crashes: {lost / MIB:.0f} MiB fetched again, {most / MIB:.0f} allowed")


def tell(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A figure for whoever runs the tests."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


# --- jobs ------------------------------------------------------------------------------


def durable(mounted: Mounted) -> int:
    """What the index says that partials hold, for good."""
    index = str(mounted.cache / "index")
    with lmdb.open(index, readonly=True, lock=False, max_dbs=1) as environment:
        table = environment.open_db(b"partials", create=False)
        with environment.begin(db=table) as txn, txn.cursor() as cursor:
            records = [unpack(PartialRecord, value) for value in cursor.iternext(keys=False)]
    return sum(stop - start for record in records for start, stop in record.ranges)


def test_a_killed_download_is_finished_by_the_next_daemon_by_itself(
    mount: Mount, hub: LocalHub, tmp_path: Path
) -> None:
    """What the index has claimed is not asked for again, but for the MiBs at its edges."""
    files = written(tmp_path, {"model.safetensors": CLAIM_EVERY + 64 * MIB})
    (size,) = (path.stat().st_size for path in files.values())
    hub.create_repo(REPO, files)
    mounted = mount()
    ask = ("prefetch", REPO, "--background", "--cache-dir", str(mounted.cache))
    assert mounted.hubfs(*ask).returncode == 0
    hub.log.wait_until(lambda log: log.content_bytes() >= CLAIM_EVERY, PATIENCE)
    hub.bandwidth = MIB  # it will not finish in this life
    wait_until(lambda: durable(mounted) >= CLAIM_EVERY // 2)
    mounted.kill()
    held = durable(mounted)
    hub.log.wait_idle(PATIENCE)
    hub.bandwidth = None
    hub.log.clear()
    mounted.mount()
    done = mounted.hubfs("jobs", "1", "--follow", "--json", "--cache-dir", mounted.cache)
    job = json.loads(done.stdout)
    assert (job["state"], job["attempts"]) == ("completed", 1)
    assert any("will go on" in line["text"] for line in job["logs"])
    assert size - held <= hub.log.content_bytes() <= size - held + 32 * MIB
    assert [digest(blob) for blob in mounted.blobs] == [blob.name for blob in mounted.blobs]
