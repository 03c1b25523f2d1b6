"""How much is fetched for what is read, by the hub's own count, through a real mount."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.fetch.samples import sample
from tests.localhub import Fault, LocalHub
from tests.mount.conftest import Mount
from tests.mount.mounted import Mounted
from tests.mount.waiting import wait_until
from tests.weather.marks import mounts
from tests.weather.readers import finish, start

pytestmark = mounts

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RESETS = [
    Fault("reset_after", at=at, origin="cdn", times=4)
    for at in (0, 70_001, 1_500_000, 3 * MIB + 17, 6 * MIB)
]


# --- many readers of a file ------------------------------------------------------------


def write_large(path: Path, size: int) -> Path:
    """A file without a pattern, of which no block occurs twice."""
    block = sample(8 * MIB)
    with path.open("wb") as file:
        for number in range(size // len(block)):
            file.write(number.to_bytes(8) + block[8:])
    return path


def read_by_64(mounted: Mounted, path: Path, right: Path, seconds: float) -> None:
    """Eight processes of eight threads read it: forward, at random, mapped and in strides."""
    children = [start("read-together", path, right, 100 * number, 8) for number in range(8)]
    assert [finish(child, seconds) for child in children] == ["right"] * 8


def check_64_readers(
    hub: LocalHub, mount: Mount, scratch: Path, size: int, faults: list[Fault]
) -> None:
    right = write_large(scratch / "right.bin", size)
    hub.create_repo("acme/model", {"model.bin": right})
    hub.faults.add(*faults)
    mounted = mount()
    read_by_64(mounted, mounted / "acme/model/model.bin", right, 900)
    hub.log.wait_idle(60)
    sent = hub.log.content_bytes("model.bin")
    assert sent <= size
    wait_until(lambda: mounted.blobs)  # what has come is still to be hashed
    [blob] = mounted.blobs
    assert blob.stat().st_size == size
    with blob.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == blob.name


@pytest.mark.parametrize("faults", [[], RESETS], ids=["fine", "resets"])
def test_64_readers_of_a_cold_file_fetch_it_once(
    hub: LocalHub, mount: Mount, tmp_path: Path, faults: list[Fault]
) -> None:
    check_64_readers(hub, mount, tmp_path, 256 * MIB, faults)


@pytest.mark.nightly
@pytest.mark.timeout(1800, method="signal")
@pytest.mark.parametrize("faults", [[], RESETS * 5], ids=["fine", "resets"])
def test_64_readers_of_a_large_cold_file_fetch_it_once(
    hub: LocalHub, mount: Mount, tmp_path: Path, faults: list[Fault]
) -> None:
    check_64_readers(hub, mount, tmp_path, 2 * GIB, faults)


# --- a part of a file ------------------------------------------------------------------


def write_sparse(path: Path, size: int, head: bytes = b"") -> Path:
    """A large file that takes no room: a head, its own size as a tail, zeros between."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size - 8)
        file.seek(size - 8)
        file.write(size.to_bytes(8))
    return path


def write_safetensors(path: Path, rows: int, tensors: int) -> Path:
    """Tensors of `rows` rows of a MiB each, all zeros, but for the last row of the last one."""
    row = MIB // 4
    span = rows * MIB
    index = {
        f"layer.{number}.weight": {
            "dtype": "I32",
            "shape": [rows, row],
            "data_offsets": [number * span, (number + 1) * span],
        }
        for number in range(tensors)
    }
    text = json.dumps(index).encode()
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(8, "little") + text
    return write_sparse(path, len(head) + tensors * span, head)


@pytest.mark.parametrize("rtt", [0, 0.03], ids=["near", "far"])
@pytest.mark.parametrize("megabytes", [1, 16])
def test_a_slice_of_a_tensor_costs_itself_and_a_little(
    hub: LocalHub, mount: Mount, tmp_path: Path, megabytes: int, rtt: float
) -> None:
    hub.rtt = rtt
    right = write_safetensors(tmp_path / "right.safetensors", rows=32, tensors=16)
    hub.create_repo("acme/model", {"model.safetensors": right})
    mounted = mount()
    path = mounted / "acme/model/model.safetensors"
    found = finish(start("read-slice", path, "layer.7.weight", 5, 5 + megabytes))
    assert json.loads(found) == [[megabytes, MIB // 4], 0]
    hub.log.wait_idle(60)
    extra = hub.log.content_bytes("model.safetensors") - megabytes * MIB
    assert extra <= 8 * MIB


SNIFFERS: dict[str, tuple[str, ...]] = {
    "head": ("head", "--bytes=100"),
    "tail": ("tail", "--bytes=100"),
    "cmp": ("cmp", "--bytes=1000", "/dev/null"),
    "od": ("od", "--read-bytes=64", "--skip-bytes=150000000"),
    "file": ("file", "--brief", "--parameter=bytes=1048576"),  # as it was before version 5.44
}


def sniffed(hub: LocalHub, path: Path, command: tuple[str, ...]) -> int:
    """Run it on a file; return how many bytes that cost."""
    before = hub.log.content_bytes(path.name)
    run = subprocess.run([*command, path], capture_output=True, text=True, check=False)
    assert "rror" not in run.stdout + run.stderr
    hub.log.wait_idle(60)
    return hub.log.content_bytes(path.name) - before


def create_sparse(hub: LocalHub, scratch: Path, count: int, size: int) -> list[str]:
    """A repo of large files, of the kinds that model files are; return their names."""
    kinds = (("safetensors", b""), ("gguf", b"GGUF"), ("bin", b"PK"))
    files = {}
    for number in range(count):
        kind, head = kinds[number % len(kinds)]
        name = f"{number:02}.{kind}"
        files[name] = write_sparse(scratch / name, size + number, head)
    hub.create_repo("acme/models", files)
    return list(files)


def test_a_look_at_a_cold_file_does_not_fetch_it(
    hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    names = create_sparse(hub, tmp_path, len(SNIFFERS), GIB // 4)
    mounted = mount()
    costs = {
        sniffer: sniffed(hub, mounted / "acme/models" / name, command)
        for name, (sniffer, command) in zip(names, SNIFFERS.items(), strict=False)
    }
    assert all(0 < cost < 5 * MIB for cost in costs.values()), costs


def test_file_costs_little_more_than_it_reads_itself(
    hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    """From version 5.44 on it takes 7 MiB of the beginning, and as much of the end."""
    [name] = create_sparse(hub, tmp_path, 1, GIB // 4)
    mounted = mount()
    assert sniffed(hub, mounted / "acme/models" / name, ("file", "--brief")) < (14 + 5) * MIB


@pytest.mark.nightly
@pytest.mark.timeout(1800, method="signal")
def test_a_look_at_fifty_cold_files_does_not_fetch_them(
    hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    names = create_sparse(hub, tmp_path, 50, GIB)
    mounted = mount()
    for command in SNIFFERS.values():
        costs = [sniffed(hub, mounted / "acme/models" / name, command) for name in names]
        assert max(costs) < 5 * MIB
