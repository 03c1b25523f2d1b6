"""The Hub client's cache as it lies on disk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.hubcaches import Role, find_listing, find_repo_folder, role_of
from hubfs.model.tree import TreeFile

HUB = "/home/me/.cache/huggingface/hub"
REPO = f"{HUB}/models--acme--tiny"
SHA256, OID, XET = "ab" * 32, "cd" * 20, "ef" * 32


@pytest.mark.parametrize(
    ("path", "role"),
    [
        (f"{REPO}/blobs/{SHA256}", Role.BYTES),
        (f"{REPO}/blobs/{OID}", Role.BYTES),
        (f"{REPO}/blobs/{SHA256}.incomplete", Role.BOOKKEEPING),
        (f"{REPO}/snapshots/{OID}/config.json", Role.BYTES),
        (f"{REPO}/snapshots/{OID}/models--a--b/blobs/x", Role.BOOKKEEPING),
        (f"{REPO}/refs/main", Role.BOOKKEEPING),
        (f"{REPO}/trees/{OID}.json", Role.BOOKKEEPING),
        (f"{HUB}/blobs/{XET[:2]}/{XET}", Role.BYTES),
        (f"{HUB}/blobs/{XET[:2]}/{XET}.refs", Role.BOOKKEEPING),
        (f"{HUB}/blobs/.huggingface-shared-blobs", Role.NONE),
        ("/data/models--backup/qwen/model.gguf", Role.NONE),
        ("/data/models/acme/tiny/model.gguf", Role.NONE),
        ("/model.gguf", Role.NONE),
    ],
)
def test_each_file_has_its_role(path: str, role: Role) -> None:
    assert role_of(path) is role


def test_the_folder_of_a_repo_is_found_from_any_file_in_it() -> None:
    assert find_repo_folder(f"{REPO}/refs/refs/pr/1") == REPO
    assert find_repo_folder(f"{HUB}/blobs/{XET[:2]}/{XET}") is None


@given(st.text(st.sampled_from("/-abmodels.0f")))
def test_no_path_is_too_odd(path: str) -> None:
    role_of(path)
    find_repo_folder(path)


LFS = {"size": 9, "blob_id": OID, "lfs_sha256": SHA256, "lfs_size": 9, "xet_hash": XET}


def listing(**changes: Any) -> bytes:
    files = {"config.json": {"size": 2, "blob_id": OID}, "model.bin": {**LFS, **changes}}
    return json.dumps({"format_version": 1, "files": files}).encode()


def test_a_whole_listing_is_taken_over() -> None:
    assert find_listing(listing()) == [
        TreeFile("config.json", 2, OID),
        TreeFile("model.bin", 9, OID, SHA256, XET),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format_version": 2, "files": {}}',
        b'{"format_version": 1, "files": {"": {"size": 1, "blob_id": "' + OID.encode() + b'"}}}',
        listing(size=-1),
        listing(size="9"),
        listing(blob_id="main"),
        listing(blob_id=None),
        listing(lfs_sha256="abc"),
        listing(lfs_size=10),
    ],
)
def test_one_line_that_cannot_be_believed_spoils_the_listing(data: bytes) -> None:
    assert find_listing(data) is None


@given(st.binary())
def test_nothing_in_a_file_can_do_harm(data: bytes) -> None:
    find_listing(data)
