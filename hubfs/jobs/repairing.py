"""What a verification found to be lost: who has it, and fetching it from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import trio

from hubfs.errors import FetchStopped, HubfsError
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.files import Files
from hubfs.jobs.findings import Findings
from hubfs.jobs.run import Run
from hubfs.jobs.transport import Transport
from hubfs.model.content import Content, Source
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog
from hubfs.store.store import Store

_EVERY: Final = 1 << 30


_UNKNOWN: Final = "no repo that is known here has it"
Places: TypeAlias = dict[str, tuple[Content, Source]]


class Repairing:
    """Looks through all that is known for who has the lost contents, and fetches them."""

    def __init__(self, catalog: Catalog, store: Store, fetcher: Fetcher) -> None:
        self._catalog = catalog
        self._store = store
        self._fetcher = fetcher

    async def go(self, run: Run, findings: Findings) -> None:
        """Say which files are lost; fetch them if the job is to repair, and note what comes."""
        wanted = {key: sha256 for sha256, keys in findings.awaited.items() for key in keys}
        if not wanted:
            return
        places = await trio.to_thread.run_sync(self._places, wanted)
        findings.name_files(places)
        if run.arguments["repair"]:
            await self._repair(run, findings, places)

    def _places(self, wanted: Mapping[str, str]) -> Places:
        """Where the contents with the `wanted` keys are, by the hash of the blob."""
        found: Places = {}
        for content, source in self._everything():
            sha256 = wanted.get(content.key)
            if sha256 is not None and sha256 not in found:
                found[sha256] = content, source
                if len(found) == len(set(wanted.values())):
                    break
        return found

    def _everything(self) -> Iterator[tuple[Content, Source]]:
        for repo in self._repos():
            for commit in self._catalog.snapshots(repo):
                snapshot = self._catalog.find_snapshot(repo, commit)
                if snapshot is not None:
                    yield from Files(self._catalog, repo, commit, snapshot, lambda *_: True)

    def _repos(self) -> Iterator[RepoId]:
        for kind in RepoKind:
            for name in self._catalog.names(kind, _EVERY):
                yield RepoId(kind, name)

    async def _repair(self, run: Run, findings: Findings, places: Places) -> None:
        tally = run.tally
        reason = await self._bring(run, list(places.values()))
        for sha256, keys in findings.awaited.items():
            path = places[sha256][1].path if sha256 in places else sha256
            if any(self._store.blobs.find(Content.from_key(key)) for key in keys):
                findings.note_refetched(sha256)
                continue
            if path not in tally.failures:
                tally.note_failure(path, reason if sha256 in places else _UNKNOWN)
            findings.note_absent(sha256, tally.failures.get(path, reason))

    async def _bring(self, run: Run, files: list[tuple[Content, Source]]) -> str:
        """Fetch the files; return why some of them cannot be had."""
        run.log(f"fetching {len(files)} lost files again")
        run.tally.files_total += len(files)
        run.tally.size_total += sum(content.size for content, _ in files)
        try:
            await Transport(run, self._fetcher).bring(iter(files))
        except FetchStopped:
            raise
        except HubfsError as error:
            return str(error)
        return ""
