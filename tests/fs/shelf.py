"""A catalog of one tree, in a few lines: every listing found by looking through all of them."""

from __future__ import annotations

from collections.abc import Iterable

from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import MOST_ENTRIES, Listing, TreeBuilder, TreeFile
from hubfs.store.catalog import Catalog, Node
from hubfs.store.records import RepoRecord, SnapshotRecord

SNAPSHOT, VIEW, MTIME = 20, 30, 1_700_000_000.0
REPO = RepoId(RepoKind.MODEL, "acme/model")
COMMIT = "c" * 40


class Shelf(Catalog):
    """Knows COMMIT of REPO; `loads` counts how often a listing was asked for."""

    def __init__(self, paths: Iterable[str], most: int = MOST_ENTRIES) -> None:
        builder = TreeBuilder()
        for number, path in enumerate(paths):
            builder.add(TreeFile(path, number, f"{number + 1:040x}"))
        self.stats = builder.stats
        self.every = list(builder.listings(most))
        self.loads = 0

    def find_listing(self, number: int, ordinal: int) -> Listing | None:
        self.loads += 1
        holding = [each for each in self.every if each.first <= ordinal]
        return max(holding, key=lambda each: each.first) if number == SNAPSHOT else None

    def find_repo(self, repo: RepoId) -> RepoRecord | None:
        return RepoRecord(repo.name) if repo == REPO else None

    def find_snapshot(self, repo: RepoId, commit: str) -> SnapshotRecord | None:
        if (repo, commit) != (REPO, COMMIT):
            return None
        return SnapshotRecord(SNAPSHOT, self.stats.files, self.stats.size, MTIME)

    def find_node(self, number: int) -> Node | None:
        roles = {SNAPSHOT: "snapshot", VIEW: "view"}
        if number not in roles:
            return None
        return Node(roles[number], REPO.kind.value, REPO.name, "", COMMIT)
