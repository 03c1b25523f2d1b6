"""What the Hub's own client has downloaded, adopted: no byte of it is downloaded again."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from tests.hubcache.clients import Client
from tests.hubcache.test_huggingface_hub import of_daemon
from tests.localhub import LocalHub
from tests.localhub.log import Record
from tests.mount.children import run_reader
from tests.mount.conftest import Mount
from tests.mount.looking import sha256
from tests.mount.mounted import Mounted
from tests.store.elsewhere import Untouched, write, write_in_place

LARGE = 9 << 20  # more than is verified before its first byte is served

PUBLISH = """
from huggingface_hub import constants
from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store
blob, xet_hash, size = {!r}, {!r}, {!r}
is_shared = publish_blob_to_shared_store(
    blob_path=blob, xet_hash=xet_hash, cache_dir=constants.HF_HUB_CACHE, expected_size=size)
print(is_shared and 1)
"""


def files_of(repo: str) -> dict[str, bytes]:
    weights = random.Random(repo).randbytes(LARGE)
    return {
        "config.json": f'{{"name": "{repo}"}}'.encode(),
        "sub/deep.txt": f"deep in {repo}".encode(),
        "model.safetensors": weights,
        "again/model.safetensors": weights,
        "empty": b"",
    }


def downloaded(client: Client, cache: Path, repo: str) -> Path:
    """Where the Hub's client has put all of a repo."""
    (found,) = client.ask(f"snapshot_download('{repo}')")
    assert found.path.is_relative_to(cache)
    return found.path


def contents(hub: LocalHub) -> list[Record]:
    """Requests of hubfs for bytes of files."""
    return [record for record in of_daemon(hub) if record.is_content]


def read(mounted: Mounted, repo: str) -> dict[str, bytes]:
    root = mounted / repo
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_cache_of_the_hubs_client_is_adopted_whole(
    hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    """`hubfs scan` makes what is on disk already part of the cache, found by what it holds.

    A mount of the same repo downloads nothing of it. Nothing that was scanned
    changes: no byte, no mode, no time. A repo of which the cache keeps a
    commit's whole listing (huggingface_hub 1.33 and newer) can be listed and
    read without the Hub.
    """
    mounted = mount()
    old, new, shared = (tmp_path / name for name in ("old", "new", "shared"))
    for repo in ("acme/old", "acme/new", "acme/shared"):
        hub.create_repo(repo, files_of(repo))
    downloaded(Client(mounted, tmp_path / "user", "0.36.2", old), old, "acme/old")
    downloaded(Client(mounted, tmp_path / "user", cache=new), new, "acme/new")
    client = Client(mounted, tmp_path / "user", cache=shared)
    blob = (downloaded(client, shared, "acme/shared") / "model.safetensors").resolve()
    assert client.python(PUBLISH.format(str(blob), "ab" * 32, LARGE)) == 1
    assert blob.is_symlink()
    with Untouched(tmp_path / "old"), Untouched(tmp_path / "new"), Untouched(tmp_path / "shared"):
        done = mounted.hubfs("scan", old, new, shared, "--cache-dir", mounted.cache, "--json")
        assert done.returncode == 0, done.stderr
        results = [job["result"] for job in json.loads(done.stdout)]
        assert [each["adopted"]["files"] for each in results] == [3, 3, 3]
        assert [each["unknown"]["files"] + each["failed"]["files"] for each in results] == [0] * 3
        assert [each["repos"]["listed"] for each in results] == [0, 1, 1]
        assert not of_daemon(hub)
        hub.down()
        mounted.remount()
        for repo in ("acme/new", "acme/shared"):
            assert read(mounted, repo) == files_of(repo)
        hub.up()
        mounted.remount()
        assert read(mounted, "acme/old") == files_of("acme/old")
    assert not contents(hub)


def test_nothing_is_read_through_a_mount(hub: LocalHub, mount: Mount, tmp_path: Path) -> None:
    """What a mount shows would be downloaded to be looked at: scans keep out, also by links."""
    hub.create_repo("acme/far", {"far.gguf": random.Random(5).randbytes(LARGE)})
    mounted = mount()
    folder = write(tmp_path / "models", {"near.gguf": b"near"})
    (folder / "far.gguf").symlink_to(mounted / "acme/far/far.gguf")
    (folder / "all").symlink_to(mounted.root)

    def scan(path: Path, cache: Path, code: int) -> str:
        done = mounted.hubfs("scan", path, "--cache-dir", cache, "--json")
        assert done.returncode == code, done.stderr
        return done.stdout if not code else done.stderr

    for cache in (mounted.cache, tmp_path / "another"):
        (job,) = json.loads(scan(folder, cache, 0))
        assert {
            fate: job["result"][fate]["files"] for fate in ("adopted", "unknown", "skipped")
        } == {
            "adopted": 1,
            "unknown": 0,
            "skipped": 2,
        }
        for path in (mounted.root, mounted / ".hub"):
            assert "is a mount of hubfs itself" in scan(path, cache, 1)
    assert not contents(hub)


def test_a_linked_file_that_is_changed_in_place_never_gives_a_wrong_byte(
    hub: LocalHub, mount: Mount, tmp_path: Path
) -> None:
    """A file that was linked, and is then changed in place, never gives a wrong byte.

    The change is noticed, whether the file is open or not, and the content is
    downloaded after all.
    """
    data = random.Random(7).randbytes(LARGE)
    names = ("open.gguf", "mapped.gguf", "closed.gguf", "removed.gguf", "moved.gguf")
    files = {name: name.encode() + data for name in names}
    hub.create_repo("acme/gguf", files)
    folder = write(tmp_path / "models", files)
    mounted = mount()
    scanned = mounted.hubfs("scan", folder, "--cache-dir", mounted.cache)
    assert scanned.returncode == 0, scanned.stderr
    root, half = mounted / "acme/gguf", LARGE // 2
    file = os.open(root / "open.gguf", os.O_RDONLY)
    other = os.open(root / "mapped.gguf", os.O_RDONLY)
    try:
        assert os.pread(file, half, 0) == files["open.gguf"][:half]
        assert os.pread(other, half, 0) == files["mapped.gguf"][:half]
        assert not contents(hub)
        for name in names[:-1]:
            with (folder / name).open("r+b") as source:
                source.seek(half)  # where nothing has been read
                source.write(bytes(LARGE - half))
            write_in_place(folder / name, b"and here too")
        (folder / "removed.gguf").unlink()
        (folder / "moved.gguf").rename(folder / "gone elsewhere.gguf")
        assert os.pread(file, LARGE, half) == files["open.gguf"][half:]
        assert run_reader("map-whole", root / "mapped.gguf") == sha256(files["mapped.gguf"])
    finally:
        os.close(file)
        os.close(other)
    for name in names:
        assert (root / name).read_bytes() == files[name]
    fetched = {record.path for record in contents(hub)}
    # One that only has another name now is read once more, and trusted again.
    assert fetched == {*names} - {"moved.gguf"}
    assert (folder / "closed.gguf").read_bytes() != files["closed.gguf"]
