"""Through a mirror that others wrote, in both of its modes: a user sees what the Hub would show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.mount import olah
from tests.mount.children import run_reader
from tests.mount.conftest import TOKEN, Mount
from tests.mount.looking import errno_of, is_there, names, sha256, sizes_below
from tests.mount.mounted import Mounted
from tests.mount.test_reading import MIB, blob, read_at_random
from tests.mount.waiting import wait_until

pytestmark = pytest.mark.skipif(
    not olah.OLAH.exists(), reason="there is no mirror: run scripts/mirror"
)

LARGE = "model.safetensors"
FILES = {
    LARGE: blob(9 * MIB, seed=71),
    "config.json": b"{}",
    "empty": b"",
    "sub/deep/er.txt": b"deep",
} | {f"shards/{number}.json": str(number).encode() for number in range(3)}
FRESH = ("--metadata-ttl", "1")


def check_all_is_there(root: Path, files: dict[str, bytes]) -> None:
    """Every name, every size, every byte, and nothing else."""
    assert sizes_below(root) == {name: len(data) for name, data in files.items()}
    assert not is_there(root / "absent.json")
    for name, data in files.items():
        assert sha256(root / name) == sha256(data), name


def check_it_needs_nobody(mounted: Mounted, root: Path, files: dict[str, bytes]) -> None:
    """Once more from the start, with nobody to ask."""
    mounted.remount()
    check_all_is_there(root, files)
    assert errno_of((mounted / "acme/never-seen").stat) == "EIO"


def test_a_mirror_in_front_of_the_hub(mount: Mount, hub: LocalHub, tmp_path: Path) -> None:
    """A mirror that sends only the first page of a listing is asked directory by directory."""
    hub.page_size = 5
    hub.create_repo("acme/model", FILES)
    hub.create_repo("acme/rows", {"rows.csv": b"1,2"}, kind="dataset")
    hub.create_repo("acme/private", {"a b#1.txt": b"odd", "plain.txt": b"plain"}, private=True)
    with olah.mirror_of(hub, tmp_path / "olah") as mirror:
        mounted = mount(*FRESH, "--endpoint", mirror.endpoint, HF_TOKEN=TOKEN)
        root, private = mounted / "acme/model", mounted / "acme/private"
        assert run_reader("map-whole", root / LARGE) == sha256(FILES[LARGE])
        check_all_is_there(root, FILES)
        assert sha256(mounted / "datasets/acme/rows/rows.csv") == sha256(b"1,2")
        assert errno_of((mounted / "acme/none").stat) == "ENOENT"
        # It cannot send all of what it lists; what it can is not the worse for that.
        assert errno_of((private / "a b#1.txt").read_bytes) == "ENOENT"
        assert (private / "plain.txt").read_bytes() == b"plain"
        assert names(private) == {"a b#1.txt", "plain.txt"}
        hub.push("acme/model", {"config.json": b"[1]"})
        wait_until(lambda: (root / "config.json").read_bytes() == b"[1]")
    hub.down()
    check_it_needs_nobody(mounted, root, FILES | {"config.json": b"[1]"})


def test_a_mirror_of_git_repos(mount: Mount, tmp_path: Path) -> None:
    """From a server that ignores ranges a file is asked for once, whole."""
    repo = olah.GitRepo(tmp_path / "repos/models/acme/model")
    commit = repo.commit(FILES)
    with olah.mirror_of_git(tmp_path / "repos", tmp_path / "olah") as mirror:
        mounted = mount(*FRESH, "--endpoint", mirror.endpoint)
        root = mounted / "acme/model"
        assert read_at_random(root / LARGE) == sha256(FILES[LARGE])
        check_all_is_there(root, FILES)
        filled = {f"/acme/model/resolve/{commit}/{name}" for name, data in FILES.items() if data}
        asked = {path: count for path, count in mirror.asked().items() if "/resolve/" in path}
        assert asked == dict.fromkeys(filled, 1)
        assert errno_of((mounted / "acme/none").stat) == "ENOENT"
        repo.commit({"config.json": b"[1]"})
        wait_until(lambda: (root / "config.json").read_bytes() == b"[1]")
    check_it_needs_nobody(mounted, root, FILES | {"config.json": b"[1]"})
