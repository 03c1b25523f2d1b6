"""From the name of a repo to the files that a job is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hubfs.errors import (
    EntryNotFound,
    NoSuchEntry,
    Offline,
    RepoNotFound,
    TransientHubError,
    UsageError,
)
from hubfs.jobs.selection import distinct
from hubfs.model.content import Content, Source
from hubfs.model.identifiers import RepoId, find_repo_id
from hubfs.store.catalog import Catalog
from hubfs.store.records import SnapshotRecord
from hubfs.sync.syncer import Synced, Syncer

LONGEST_CHAIN = 3


def repo_named(text: str) -> RepoId:
    """The repo that a person or a record calls `text`.

    Raises:
        UsageError: no repo can be called that.
    """
    found = find_repo_id(text)
    if found is None:
        raise UsageError(
            f"not a repo: {text!r}", hint="repos look like org/name or datasets/org/name"
        )
    return found


def nothing_matches(repo: RepoId) -> EntryNotFound:
    """What is wrong where a selection has no file: it is more likely mistyped than meant."""
    return EntryNotFound(f"no file of {repo} matches", hint=f"list its files: hubfs ls {repo}")


async def refreshed(syncer: Syncer, repo: RepoId, revision: str) -> Synced:
    """What `revision` of `repo` is now, under its canonical name.

    Raises:
        HubError: the Hub denies it, or cannot be asked.
    """
    for _ in range(LONGEST_CHAIN):
        found = await syncer.refresh(repo, revision)
        if isinstance(found, Synced):
            return found
        repo = found.canonical
    raise RepoNotFound(f"{repo} leads in circles")


async def newest(syncer: Syncer, repo: RepoId, revision: str) -> Synced:
    """As `refreshed`; but with the Hub out of reach, what is known of it.

    Raises:
        HubError: the Hub denies it; or it is not known, and the Hub cannot be asked.
    """
    try:
        return await refreshed(syncer, repo, revision)
    except (TransientHubError, Offline):
        return await ensure_known(syncer, repo, revision)


async def ensure_known(syncer: Syncer, repo: RepoId, revision: str) -> Synced:
    """What is known of `revision` of `repo`; the Hub is asked only if nothing is.

    Raises:
        HubError: it is not known, and the Hub denies it, or cannot be asked.
    """
    for _ in range(LONGEST_CHAIN):
        found = await syncer.ensure(repo, revision)
        if isinstance(found, Synced):
            return found
        repo = found.canonical
    raise RepoNotFound(f"{repo} leads in circles")


def canonical(catalog: Catalog, repo: RepoId) -> RepoId:
    """The name under which `repo` is known here.

    Raises:
        RepoNotFound: it is not.
    """
    found = catalog.find_canonical(repo)
    if found is None:
        hint = f"hubfs ls tells which are; hubfs register {repo} makes it known"
        raise RepoNotFound(f"{repo} is not known here", hint=hint)
    return found


def known(catalog: Catalog, syncer: Syncer, repo: RepoId, revision: str) -> Synced:
    """What is known here of `revision` of `repo`; nobody is asked.

    Raises:
        RepoNotFound: the repo is not known here.
        NoSuchEntry: it is, but not at that revision.
    """
    repo = canonical(catalog, repo)
    found = syncer.find(repo, revision)
    if found is None:
        which = f"{repo}@{revision}" if revision else str(repo)
        hint = f"sync it: hubfs sync {which}"
        raise NoSuchEntry(f"the files of {which} are not known here", hint=hint)
    return found


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a commit that `accepts(path, size)`, each content once."""

    catalog: Catalog
    repo: RepoId
    commit: str
    snapshot: SnapshotRecord
    accepts: Callable[[str, int], bool]

    def __iter__(self) -> Iterator[tuple[Content, Source]]:
        """The files in the order of the tree; read as they are asked for."""
        for path, content in distinct(self._accepted()):
            yield content, Source(str(self.repo), self.commit, path)

    def _accepted(self) -> Iterator[tuple[str, Content]]:
        for listing in self.catalog.listings(self.snapshot):
            for entry in listing:
                path = listing.path_of(entry)
                if not entry.is_directory and self.accepts(path, entry.size):
                    yield path, entry.content

    def totals(self) -> tuple[int, int]:
        """(files, bytes). Looks at every file: call it from a thread."""
        count = size = 0
        for content, _ in self:
            count, size = count + 1, size + content.size
        return count, size
