"""What is kept, how often it is fetched, and what a crash takes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.mount.children import reading
from tests.mount.conftest import Mount
from tests.mount.looking import attribute, names, open_files, read_anew, sha256
from tests.mount.mounted import Mounted
from tests.mount.test_reading import MIB, blob, read_at_random
from tests.mount.waiting import wait_until
from tests.store.disks import fill_up, remount_read_only, remount_writable


def test_a_content_is_downloaded_and_stored_once_whatever_it_is_called(
    mount: Mount, hub: LocalHub
) -> None:
    """A content is downloaded once and stored once, however many repos and revisions have it."""
    weights, words = blob(9 * MIB, seed=1), b"vocabulary" * 999
    first = hub.create_repo("acme/base", {"model.safetensors": weights, "vocab.txt": words})
    hub.push("acme/base", {"README.md": b"changed"})
    hub.create_repo("other/copy", {"sub/weights.safetensors": weights, "words.txt": words})
    hub.create_repo("acme/data", {"w.safetensors": weights}, kind="dataset")
    mounted = mount()
    large = [
        "acme/base/model.safetensors",
        f"acme/base@{first}/model.safetensors",
        "other/copy/sub/weights.safetensors",
        "datasets/acme/data/w.safetensors",
    ]
    small = ["acme/base/vocab.txt", f"acme/base@{first}/vocab.txt", "other/copy/words.txt"]
    assert {sha256(mounted / path) for path in large} == {sha256(weights)}
    assert {sha256(mounted / path) for path in small} == {sha256(words)}
    wait_until(lambda: len(mounted.blobs) == 2)
    assert hub.log.content_bytes() == len(weights) + len(words)
    assert {each.name for each in mounted.blobs} == {sha256(weights), sha256(words)}
    assert {attribute(mounted / path, "state") for path in large + small} == {"complete"}


def test_readers_of_a_content_under_several_names_share_its_download(shared: Mounted) -> None:
    data = blob(16 * MIB, seed=2)
    for repo in ("share/one", "share/two"):
        shared.hub.create_repo(repo, {f"{repo[-3:]}.bin": data})
    one = (shared / "share/one/one.bin").open("rb")
    two = (shared / "share/two/two.bin").open("rb")
    with one, two:
        for at in range(0, len(data), MIB):
            assert one.read(MIB) == two.read(MIB) == data[at : at + MIB]
    wait_until(lambda: attribute(shared / "share/two/two.bin", "state") == "complete")
    fetched = [shared.hub.log.content_bytes(f"share/{name}/{name}.bin") for name in ("one", "two")]
    assert sum(fetched) == len(data)


def test_a_walk_through_small_files_finds_them_here(shared: Mounted) -> None:
    """Who reads the small files of a directory in order finds the next ones here already."""
    files = {f"walk/{number:03}.json": blob(2000 + number, seed=number) for number in range(40)}
    others = {"walk/030.bin": blob(2 * MIB, seed=50), "walk/031/inner.json": b"{}"}
    shared.hub.create_repo("acme/walked", files | others)
    shared.hub.log.clear()
    paths = [shared / "acme/walked" / name for name in sorted(files)]
    for path in paths[:4]:
        assert path.read_bytes()
    wait_until(lambda: {attribute(path, "state") for path in paths[:8]} == {"complete"})
    assert {attribute(path, "state") for path in paths[8:]} == {"absent"}
    assert [sha256(path) for path in paths] == [sha256(files[name]) for name in sorted(files)]
    assert shared.hub.log.content_bytes() == sum(map(len, files.values()))
    assert {attribute(shared / "acme/walked" / name, "state") for name in others} == {"absent"}


@pytest.mark.parametrize("end", [Mounted.terminate, Mounted.kill])
def test_a_download_goes_on_where_it_was_durable(
    mount: Mount, hub: LocalHub, end: Callable[[Mounted], None]
) -> None:
    """Checksums tell after a crash what is there, and they are of whole MiBs.

    After a stop or a crash, what was durably here of a file is not downloaded again; after a
    crash, of a MiB that was here in part, all is.
    """
    data = blob(40 * MIB, seed=8)
    hub.create_repo("acme/large", {"model.bin": data})
    mounted = mount("--fill", "never")
    path = mounted / "acme/large/model.bin"
    with path.open("rb") as file:
        assert file.read(6 * MIB) == data[: 6 * MIB]
    # Once its last reader has left, a partial is made durable and closed.
    wait_until(lambda: not open_partials(mounted))
    end(mounted)
    hub.log.clear()
    mounted.mount()
    durable = int(attribute(path, "cached_bytes"))
    assert durable >= 6 * MIB
    assert attribute(path, "state") == "partial"
    assert read_at_random(path) == sha256(data)
    hub.log.wait_idle()
    assert hub.log.content_bytes() == len(data) - durable


def test_a_crash_in_the_middle_of_a_download_spoils_nothing(mount: Mount, hub: LocalHub) -> None:
    data = blob(40 * MIB, seed=10)
    hub.create_repo("acme/large", {"model.bin": data})
    mounted = mount()
    path = mounted / "acme/large/model.bin"
    for share in (0.1, 0.5, 0.9):
        enough = hub.log.content_bytes() + int(share * len(data))
        hub.bandwidth = 100 * MIB
        with reading("read-at", path, 0, len(data)):
            hub.log.wait_until(lambda log, enough=enough: log.content_bytes() >= enough)  # type: ignore[misc]
            mounted.kill()
        mounted.mount()
    hub.bandwidth = None
    assert read_at_random(path) == sha256(data)


def open_partials(mounted: Mounted) -> list[str]:
    """The partial files that the daemon has open."""
    return [each for each in open_files(mounted.pid) if each.startswith(f"{mounted.cache}/partial")]


def test_a_crash_loses_no_complete_file(mount: Mount, hub: LocalHub) -> None:
    files = {f"{number}.bin": blob(MIB, seed=number) for number in range(1, 9)}
    hub.create_repo("acme/crash", files)
    mounted = mount()
    for name, data in files.items():
        assert (mounted / "acme/crash" / name).read_bytes() == data
    mounted.kill()
    hub.log.clear()
    mounted.mount()
    for name, data in files.items():
        assert (mounted / "acme/crash" / name).read_bytes() == data
    assert len(hub.log) == 0


def test_a_blob_that_was_removed_behind_our_back_is_fetched_again(
    mount: Mount, hub: LocalHub
) -> None:
    data = blob(MIB, seed=9)
    hub.create_repo("acme/gone", {"model.bin": data, "cut.bin": data[::-1]})
    mounted = mount()
    for name in ("model.bin", "cut.bin"):
        assert len((mounted / "acme/gone" / name).read_bytes()) == MIB
    blobs = {each.name: each for each in mounted.blobs}
    mounted.terminate()
    blobs[sha256(data)].unlink()
    os.truncate(blobs[sha256(data[::-1])], 1000)
    mounted.mount()
    assert (mounted / "acme/gone/model.bin").read_bytes() == data
    assert (mounted / "acme/gone/cut.bin").read_bytes() == data[::-1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    if os.getuid():
        pytest.skip("only root may mount a small disk")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_full_disk_stops_no_reader(small_disk: Path, mount: Mount, hub: LocalHub) -> None:
    """The log says so, and what is read is kept again once it can be.

    When the cache's disk is full, files are read all the same, and not kept.
    """
    files = {f"{number}.bin": blob(6 * MIB, seed=number) for number in range(20, 23)}
    files |= {"large.bin": blob(30 * MIB, seed=11), "config.json": b"{}"}
    late = blob(6 * MIB, seed=24)  # what was read without room is fetched again once there is some
    hub.create_repo("acme/full", files | {"late.bin": late})
    mounted = mount("--min-free", "none", cache=small_disk / "cache")
    root = mounted / "acme/full"
    # A repo that is not known yet would have to be noted down.
    assert names(root) == {*files, "late.bin"}
    filler = fill_up(small_disk)
    for name, data in files.items():
        assert sha256(root / name) == sha256(data), name
        assert read_at_random(root / name) == sha256(data), name
    assert mounted.blobs == []
    assert "No space left on device" in mounted.log
    filler.unlink()
    becomes_a_blob(root / "21.bin", files["21.bin"])
    mounted.terminate()
    before = mounted.blobs
    remount_read_only(small_disk)
    mounted.mount()
    for name in ("20.bin", "21.bin", "22.bin"):
        assert sha256(root / name) == sha256(files[name]), name
    assert sha256(root / "late.bin") == sha256(late)
    assert mounted.blobs == before
    (log,) = Path(mounted.environment["XDG_RUNTIME_DIR"]).glob("hubfs/*.log")
    assert "may not be written: nothing new is kept" in log.read_text()
    mounted.terminate()
    remount_writable(small_disk)
    mounted.mount()
    becomes_a_blob(root / "late.bin", late)


def becomes_a_blob(path: Path, data: bytes) -> None:
    """See to it that a file that is read right is kept, at the latest when it is read again."""

    def is_kept() -> bool:
        assert read_anew(path) == data  # of what the kernel still has hubfs is not asked
        return attribute(path, "state") == "complete"

    wait_until(is_kept)
