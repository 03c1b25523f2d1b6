"""Repos: commits, refs and who may see them.

Pure but for mutation: pushes build immutable commits and move names. Knows no
HTTP. A commit's files, ids and date never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from tests.localhub.content import Content, File, Kind, content_of
from tests.localhub.gitobjects import commit_oid
from tests.localhub.trees import Tree

Changes = Mapping[str, bytes | Path | File | None]
Gate = Literal["auto", "manual"]


@dataclass(frozen=True, eq=False)
class Commit:
    """One commit; `touched` names for each path the commit that last changed it."""

    oid: str
    parent: str | None
    tree: Tree
    title: str
    author: str
    date: datetime
    touched: Mapping[str, str]


class UnknownRevision(Exception):
    """No branch, tag or commit has this name."""


@dataclass(eq=False)
class Repository:
    """A repo of any kind; `refs` maps full names (refs/heads/main) to commit ids."""

    kind: Kind
    id: str
    created: datetime
    private: bool = False
    gated: Gate | None = None
    disabled: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    card: dict[str, object] = field(default_factory=dict)

    @property
    def author(self) -> str:
        return self.id.partition("/")[0]

    @cached_property
    def plural(self) -> str:
        return self.kind + "s"

    @property
    def head(self) -> Commit:
        return self.resolve("HEAD")

    def resolve(self, revision: str) -> Commit:
        """Return the commit that a branch, tag, full ref or (short) hash names.

        Raises:
            UnknownRevision: nothing has that name.
        """
        for name in _ref_names(revision):
            if name in self.refs:
                return self.commits[self.refs[name]]
        found = [
            oid for oid in list(self.commits) if len(revision) >= 6 and oid.startswith(revision)
        ]
        if len(found) != 1:
            raise UnknownRevision(revision)
        return self.commits[found[0]]

    def commit(
        self,
        changes: Changes,
        *,
        parent: Commit | None,
        date: datetime,
        title: str,
        author: str | None = None,
    ) -> Commit:
        """Build and keep a commit on top of `parent`; no ref is moved."""
        contents = {
            path: None if file is None else content_of(file, path, self.kind)
            for path, file in changes.items()
        }
        tree = Tree(_changed(parent.tree.files if parent else {}, contents))
        who = author or self.author
        parent_oid = parent.oid if parent else None
        oid = commit_oid(tree.oid, parent_oid, who, int(date.timestamp()), title)
        touched = dict(parent.touched) if parent else {}
        touched |= dict.fromkeys(contents, oid)
        commit = Commit(oid, parent_oid, tree, title, who, date, touched)
        self.commits[oid] = commit
        return commit

    def move(self, ref: str, commit: str | None) -> None:
        """Point a full ref at a commit, or delete it; readers see old or new refs, whole."""
        kept = {name: oid for name, oid in self.refs.items() if name != ref}
        self.refs = kept | ({ref: commit} if commit else {})

    def history(self, commit: Commit) -> list[Commit]:
        """Return a commit and its ancestors, newest first."""
        found = [commit]
        while (parent := found[-1].parent) and parent in self.commits:
            found.append(self.commits[parent])
        return found


def full_ref(name: str) -> str:
    """Return the full name of a branch; `refs/...` names are full already."""
    return name if name.startswith("refs/") else f"refs/heads/{name}"


def _ref_names(revision: str) -> tuple[str, ...]:
    if revision == "HEAD":
        return ("refs/heads/main",)
    return (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)


def _changed(
    files: Mapping[str, Content], changes: Mapping[str, Content | None]
) -> dict[str, Content]:
    merged = {**files, **changes}
    return {path: content for path, content in merged.items() if content is not None}
