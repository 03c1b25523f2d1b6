"""What extended attributes tell of an inode. All of it is true now; none of it is cached."""

from __future__ import annotations

from typing import Final

from hubfs.fetch.fetcher import Fetcher
from hubfs.fs.trees import Tree
from hubfs.model.classification import classify
from hubfs.model.content import Content
from hubfs.model.tree import Entry
from hubfs.store.blobs import Blobs

PREFIX: Final = "user.hubfs."


def of_tree(tree: Tree, path: str) -> dict[str, str]:
    """Of any file or directory of a repo."""
    return {"repo": str(tree.repo), "commit": tree.commit, "path": path}


def of_file(entry: Entry, path: str, fetcher: Fetcher, blobs: Blobs) -> dict[str, str]:
    """Of a file: what it is, and how much of it is on this node."""
    content = entry.content
    cached, blob = fetcher.cached_bytes(content), blobs.find(content)
    kind = classify(path)
    found = {
        "sha256": content.sha256 or blob or "",
        "git_oid": entry.oid,
        "cached_bytes": str(cached),
        "state": state_of(content, cached, blob),
        "kind": kind.kind,
        "format": kind.format,
        "precision": kind.precision,
    }
    return {name: value for name, value in found.items() if value}


def state_of(content: Content, cached: int, blob: str | None) -> str:
    """`complete` (verified: `blob` is its hash), `partial` or `absent`."""
    if not content.size or blob is not None:
        return "complete"
    return "partial" if cached else "absent"
