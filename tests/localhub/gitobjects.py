"""Git and git-lfs object ids, derived from bytes.

Pure. Every id that the local Hub shows is computed here, so that a client
which recomputes one finds the same answer as with the real Hub.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class TreeItem(NamedTuple):
    """One line of a git tree object."""

    name: str
    oid: str
    is_directory: bool


def object_oid(kind: str, payload: bytes) -> str:
    """Return the id of a git object: the sha1 of its header and payload."""
    digest = hashlib.sha1(f"{kind} {len(payload)}\0".encode(), usedforsecurity=False)
    digest.update(payload)
    return digest.hexdigest()


def blob_oid(data: bytes) -> str:
    """Return the git blob id of `data`."""
    return object_oid("blob", data)


def blob_oid_of_file(path: Path) -> str:
    """Return the git blob id of a file without holding it in memory."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def pointer_text(sha256: str, size: int) -> bytes:
    """Return the git-lfs pointer that stands in git for a large file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    ).encode()


def tree_oid(items: Iterable[TreeItem]) -> str:
    """Return the id of a git tree; items may come in any order."""
    return object_oid("tree", b"".join(map(_tree_line, sorted(items, key=_tree_order))))


def commit_oid(tree: str, parent: str | None, author: str, when: int, message: str) -> str:
    """Return the id of a git commit; `when` is in epoch seconds, UTC."""
    signature = f"{author} <{author}@localhub.invalid> {when} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
    lines += [f"author {signature}", f"committer {signature}", "", message, ""]
    return object_oid("commit", "\n".join(lines).encode())


def _tree_order(item: TreeItem) -> bytes:
    # git compares a directory's name as if it ended in a slash.
    return (item.name + "/" if item.is_directory else item.name).encode()


def _tree_line(item: TreeItem) -> bytes:
    mode = "40000" if item.is_directory else "100644"
    return f"{mode} {item.name}\0".encode() + bytes.fromhex(item.oid)
