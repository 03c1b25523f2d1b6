"""Repos of a Hub client's cache made known, where the cache says all there is to say of them.

Newer clients keep the whole listing of a commit: with it a repo can be listed
and read without the Hub. Older ones keep only links to what was downloaded,
which need not be all of the repo: such a repo is listed once the Hub is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hubfs.model.folders import find_folder_repo
from hubfs.model.hubcaches import find_listing
from hubfs.model.identifiers import DEFAULT_REVISION, RepoId, is_commit, is_revision
from hubfs.model.tree import TreeBuilder
from hubfs.store.catalog import Catalog
from hubfs.store.records import RepoRecord

_MAIN: Final = "main"
_LARGEST_LISTING: Final = 1 << 30


def restore(catalog: Catalog, folder: Path) -> tuple[RepoId, bool] | None:
    """The repo of a cache's `folder`, and whether some commit of it is known. Blocks.

    What is known better already stays as it is. Refs count as of when the client
    last wrote them, so with the Hub in reach they are checked at their first use.
    """
    repo = find_folder_repo(folder.name)
    if repo is None:
        return None
    repo = RepoId(repo.kind, catalog.find_alias(repo.kind, repo.name) or repo.name)
    for path in sorted(folder.glob("trees/*.json")):
        _restore_commit(catalog, repo, path)
    commits = set(catalog.snapshots(repo))
    for revision, commit, written_at in _refs(folder / "refs"):
        if commit in commits and catalog.find_ref(repo, revision) is None:
            catalog.put_ref(repo, revision, commit, written_at)
    return repo, bool(commits)


def _restore_commit(catalog: Catalog, repo: RepoId, path: Path) -> None:
    commit = path.stem
    if not is_commit(commit) or catalog.find_snapshot(repo, commit) is not None:
        return
    try:
        found = path.stat()
        files = find_listing(path.read_bytes()) if found.st_size < _LARGEST_LISTING else None
    except OSError:
        return
    if files is None:
        return
    builder = TreeBuilder()
    for file in files:
        builder.add(file)
    # The repo first: a snapshot of none would be of no use.
    if catalog.find_repo(repo) is None:
        catalog.put_repo(repo, RepoRecord(repo.name))
    catalog.put_snapshot(repo, commit, builder, found.st_mtime)
    catalog.put_ref(repo, commit, commit, found.st_mtime)


def _refs(root: Path) -> Iterator[tuple[str, str, float]]:
    """(revision, commit, when it was written) of each ref; that of `main` is the default too."""
    for path in sorted(root.rglob("*")):
        try:
            revision, commit = path.relative_to(root).as_posix(), path.read_text().strip()
            written_at = path.stat().st_mtime
        except (OSError, UnicodeDecodeError):
            continue
        if is_commit(commit) and is_revision(revision):
            yield revision, commit, written_at
            if revision == _MAIN:
                yield DEFAULT_REVISION, commit, written_at
