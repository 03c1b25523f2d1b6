"""A repo changes while it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import attribute, names, sha256
from tests.mount.mounted import Mounted
from tests.mount.test_reading import MIB, blob
from tests.mount.waiting import wait_until

OLD, NEW = blob(20 * MIB, seed=31), blob(20 * MIB, seed=32)


@pytest.fixture
def moving(mount: Mount, hub: LocalHub) -> Mounted:
    """A mount that checks a branch behind every lookup, and a repo that is about to change."""
    hub.create_repo("acme/moving", {"model.bin": OLD, "config.json": b"{}"})
    return mount("--metadata-ttl", "0")


def commit_of(path: Path) -> str:
    return attribute(path, "commit")


def test_an_open_file_keeps_its_bytes(moving: Mounted, hub: LocalHub) -> None:
    """An open file keeps the content it was opened with, to the end; a new open gets the new one.

    The old one stays readable as `name@<commit>`.
    """
    path, before = moving / "acme/moving/model.bin", hub.repo("acme/moving").head.oid
    with path.open("rb") as file:
        assert file.read(MIB) == OLD[:MIB]
        after = hub.push("acme/moving", {"model.bin": NEW})
        wait_until(lambda: commit_of(path) == after)
        with path.open("rb") as again:
            assert again.read(MIB) == NEW[:MIB]
            assert file.read() == OLD[MIB:]
            assert again.read() == NEW[MIB:]
    assert sha256(path) == sha256(NEW)
    assert sha256(moving / f"acme/moving@{before}/model.bin") == sha256(OLD)
    assert sha256(moving / f"acme/moving@{after}/model.bin") == sha256(NEW)


def test_a_changed_file_is_another_inode_and_an_old_one_never_changes(
    moving: Mounted, hub: LocalHub
) -> None:
    """A changed file is a new inode; what stands under an inode never changes."""
    path = moving / "acme/moving/model.bin"
    before = path.stat()
    file = os.open(path, os.O_RDONLY)
    try:
        after = hub.push("acme/moving", {"model.bin": NEW + b"longer"})
        wait_until(lambda: commit_of(path) == after)
        assert os.fstat(file) == before
        assert path.stat().st_ino != before.st_ino
        assert path.stat().st_size == before.st_size + 6
    finally:
        os.close(file)


def test_an_open_directory_keeps_its_names(moving: Mounted, hub: LocalHub) -> None:
    root = moving / "acme/moving"
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        after = hub.push("acme/moving", {"added.txt": b"", "config.json": None})
        wait_until(lambda: commit_of(root) == after)
        assert names(root) == {"model.bin", "added.txt"}
        assert set(os.listdir(directory)) == {"model.bin", "config.json"}  # noqa: PTH208
        file = os.open("config.json", os.O_RDONLY, dir_fd=directory)
        assert os.read(file, 10) == b"{}"
        os.close(file)
    finally:
        os.close(directory)


def test_a_program_inside_a_repo_sees_the_commit_it_went_into(
    moving: Mounted, hub: LocalHub
) -> None:
    path = moving / "acme/moving"
    inside = os.open(path, os.O_PATH)
    before = commit_of(path)
    after = hub.push("acme/moving", {"model.bin": NEW})
    wait_until(lambda: commit_of(path) == after)
    assert commit_of(Path(f"/proc/self/fd/{inside}/model.bin")) == before
    assert sha256(Path(f"/proc/self/fd/{inside}/model.bin")) == sha256(OLD)
    os.close(inside)


def test_a_branch_that_is_forced_back_is_followed(moving: Mounted, hub: LocalHub) -> None:
    path, first = moving / "acme/moving/model.bin", hub.repo("acme/moving").head.oid
    second = hub.push("acme/moving", {"model.bin": NEW})
    wait_until(lambda: commit_of(path) == second)
    inode = path.stat().st_ino
    hub.create_branch("acme/moving", "main", first)
    wait_until(lambda: commit_of(path) == first)
    assert sha256(path) == sha256(OLD)
    hub.create_branch("acme/moving", "main", second)
    wait_until(lambda: commit_of(path) == second)
    assert path.stat().st_ino == inode


def test_an_unchanged_content_is_not_fetched_again(moving: Mounted, hub: LocalHub) -> None:
    path = moving / "acme/moving/model.bin"
    assert sha256(path) == sha256(OLD)
    wait_until(lambda: attribute(path, "state") == "complete")
    after = hub.push("acme/moving", {"config.json": b"[]"})
    wait_until(lambda: commit_of(path) == after)
    hub.log.clear()
    assert sha256(path) == sha256(OLD)
    assert hub.log.content_bytes() == 0


def test_what_was_synced_is_served_when_the_branch_is_gone(moving: Mounted, hub: LocalHub) -> None:
    hub.create_branch("acme/moving", "dev")
    path = moving / "acme/moving@dev/config.json"
    assert path.read_bytes() == b"{}"
    hub.delete_ref("acme/moving", "dev")
    wait_until(lambda: path.read_bytes() != b"{}" or "no such revision" in moving.log)
    assert path.read_bytes() == b"{}"
