"""The cache of the Hub's own client, as it lies on disk: what its files are, what they say. Pure.

models--org--name/blobs/<sha256 or git id>    a file's bytes; newer: a link to
blobs/c9/<xet hash>                           the bytes, shared by all repos
models--org--name/snapshots/<commit>/<path>   a link to them; the bytes, where links cannot be
models--org--name/refs/<name>                 a commit
models--org--name/trees/<commit>.json         all files of a commit, from 1.33 on
"""

from __future__ import annotations

import enum
import itertools
import json
import re
from pathlib import PurePosixPath
from typing import Any, Final

from hubfs.model.folders import find_folder_repo
from hubfs.model.tree import TreeFile

FORMAT_VERSION: Final = 1
_ROOMS: Final = frozenset({"blobs", "snapshots", "refs", "trees", ".no_exist"})
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_XET: Final = re.compile(r"[0-9a-f]{64}")
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_OID: Final = re.compile(r"[0-9a-f]{40}")


class Role(enum.Enum):
    """What a file is in such a cache."""

    BYTES = "bytes"
    BOOKKEEPING = "bookkeeping"
    NONE = "none"


def role_of(path: str) -> Role:
    """What the file at `path` is in a Hub client's cache; NONE outside of any."""
    parts = PurePosixPath(path).parts
    at = _folder_at(parts)
    if at is not None:
        room, below = parts[at + 1], parts[at + 2 :]
        is_blob = room == "blobs" and len(below) == 1 and _HASH.fullmatch(below[0])
        is_file = room == "snapshots" and len(below) > 1
        return Role.BYTES if is_blob or is_file else Role.BOOKKEEPING
    if len(parts) > 3 and parts[-3] == "blobs" and _SHARD.fullmatch(parts[-2]):
        # Beside them lie locks, and lists of who uses them.
        if _XET.fullmatch(parts[-1]):
            return Role.BYTES
        return Role.BOOKKEEPING if _XET.match(parts[-1]) else Role.NONE
    return Role.NONE


def find_repo_folder(path: str) -> str | None:
    """The folder of a repo that `path` lies in."""
    parts = PurePosixPath(path).parts
    at = _folder_at(parts)
    return str(PurePosixPath(*parts[: at + 1])) if at is not None else None


def _folder_at(parts: tuple[str, ...]) -> int | None:
    """Where in a file's path the folder of its repo stands: the last that is one."""
    pairs = enumerate(itertools.pairwise(parts[:-1]))
    found = [at for at, (part, room) in pairs if room in _ROOMS and find_folder_repo(part)]
    return found[-1] if found else None


def find_listing(data: bytes) -> list[TreeFile] | None:
    """The files that a `trees/<commit>.json` lists; None unless all of it can be believed."""
    try:
        document = json.loads(data)
        if document["format_version"] != FORMAT_VERSION:
            return None
        return [_file_of(path, told) for path, told in document["files"].items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _file_of(path: str, told: dict[str, Any]) -> TreeFile:
    size, oid, sha256 = told["size"], told["blob_id"], told.get("lfs_sha256")
    is_sound = isinstance(size, int) and size >= 0 and bool(_OID.fullmatch(oid))
    if sha256 is not None:
        is_sound = is_sound and bool(_XET.fullmatch(sha256)) and told.get("lfs_size") == size
    if not path or not is_sound:
        raise ValueError(f"{path} is not described")
    return TreeFile(path, size, oid, sha256, told.get("xet_hash"))
