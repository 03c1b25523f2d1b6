"""`hubfs export`: a plain folder with a repo's files, for what must have one.

The engine brings the files into the cache; this process, with its user's own
rights, puts them into the folder.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from hubfs.cli.ending import exit_code_of
from hubfs.cli.following import conclude, follow
from hubfs.cli.globs import choosing_files
from hubfs.cli.paths import PATH
from hubfs.cli.reaching import Reached, complete_repo, engine_options, reached, split_revision
from hubfs.cli.showing import Display, display, files_text, show_json
from hubfs.config import Settings
from hubfs.config.places import absolute
from hubfs.control.client import Json
from hubfs.errors import CannotExport, HubfsError, StoreError, UsageError
from hubfs.jobs.selection import Selection
from hubfs.model.text import shown
from hubfs.model.units import size_text
from hubfs.store.exporting import Folder, Note, Piece, Way

_MOST_TRIES: Final = 3
_WARNING: Final = "linked files are the cache's own: whoever changes one in place spoils it"


@click.command()
@click.argument("repo", metavar="REPO[@REV]", shell_complete=complete_repo)
@click.argument("directory", metavar="DIR", type=PATH)
@choosing_files
@click.option("--link", is_flag=True, help="Link the cache's own files, read-only; takes no room.")
@click.option("--copy", is_flag=True, help="Copy even where blocks could be shared.")
@click.option("--force", is_flag=True, help="Replace files that differ.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
def export(  # noqa: PLR0913 - an option is an argument
    repo: str,
    directory: Path,
    *,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    link: bool,
    copy: bool,
    force: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    r"""Write the files of REPO to DIR, which then needs no hubfs.

    What is not here yet is fetched first. Each file appears whole or not at
    all. What is in DIR already, and right, stays; what differs is left alone
    and named, unless --force says otherwise. Run it again to go on.

    Blocks are shared with the cache where the file system can do that (Btrfs,
    XFS), else copied: either way the files are yours to change. With --link
    they are the cache's own, read-only, on the same file system: do not change
    them in place. The cache notices, but what was exported is changed.

    \b
    Examples:
      hubfs export Qwen/Qwen3-0.6B ./qwen3
      hubfs export Qwen/Qwen3-0.6B@v1.0 /mnt/usb/qwen3 --include '*.safetensors'
      hubfs export datasets/stanfordnlp/imdb /data/imdb --link

    \b
    Exit codes:
      0  all of it is in DIR
      1  some files could not be had or written; they are named
      2  a name or an option cannot be right
      130  Ctrl-C; what is written stays
    """
    if link and copy:
        raise UsageError("either --link or --copy", hint="leave one out")
    name, revision = split_revision(repo)
    way = Way.LINK if link else Way.COPY if copy else Way.REFLINK
    folder = Folder(_target(directory, settings), way, replaces=force)
    with folder.opened(), reached(settings) as engine:
        selection = Selection(include, exclude)
        exporting = Exporting(engine, settings.cache_dir, folder, selection)
        exporting.run(name, revision)
    exporting.report(as_json=as_json)


def _target(directory: Path, settings: Settings) -> Path:
    path = absolute(directory)
    if path.is_relative_to(settings.cache_dir):
        raise UsageError(f"{path} is in the cache itself", hint="name another folder")
    return path


@dataclass(slots=True)
class Exporting:
    """One export, and what became of it."""

    engine: Reached
    cache: Path
    folder: Folder
    selection: Selection
    repo: str = ""
    revision: str = ""
    commit: str = ""
    size: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    hints: set[str] = field(default_factory=set)

    def run(self, name: str, revision: str) -> None:
        """Fetch what is missing, then put everything in place."""
        self.revision = revision
        files = self._brought(name, revision)
        try:
            with display() as looking:
                self._place_all(files, looking)
        except KeyboardInterrupt as interrupt:
            click.echo("\nwhat is written stays; the same command goes on", err=True)
            raise click.exceptions.Exit(exit_code_of(interrupt)) from None

    def _brought(self, name: str, revision: str) -> list[Json]:
        """The files that are wanted, of one commit, all of them here."""
        for _ in range(_MOST_TRIES):
            self._fetch(name, revision, self.selection)
            found = self.engine.client.find_repo(self.repo, revision)
            # Where the branch has moved on meanwhile, the new commit is fetched.
            if found is not None and found["commit"] == self.commit:
                return [each for each in found["listing"] if self.selection.accepts(each["path"])]
        raise HubfsError(f"{self.repo} changes all the time", hint="export a commit: REPO@COMMIT")

    def _fetch(self, name: str, revision: str, selection: Selection) -> None:
        wish = {
            "repo": name,
            "revision": revision,
            "include": [*selection.include],
            "exclude": [*selection.exclude],
        }
        batch = self.engine.client.post("/v1/hub/download", wish)
        jobs = follow(self.engine, [job["id"] for job in batch["jobs"]])
        conclude(jobs)
        self.repo, self.commit = jobs[0]["result"]["repo"], jobs[0]["result"]["commit"]

    # --- placing -----------------------------------------------------------------------

    def _place_all(self, files: list[Json], looking: Display) -> None:
        total = (len(files), sum(each["size"] for each in files))
        for file in files:
            copied = 0

            def show(count: int) -> None:
                nonlocal copied
                copied += count
                looking.show(self._state("running", self.size + copied, total))

            show(0)
            self._place(file, show)
        ended = "failed" if self.failures else "completed"
        looking.show(self._state(ended, self.size, total))

    def _place(self, file: Json, note: Note) -> None:
        try:
            self.ways[self._put(file, note)] += 1
            self.size += file["size"]
        except StoreError as error:
            self.failures[file["path"]] = str(error)
            self.hints.add(error.hint)

    def _put(self, file: Json, note: Note) -> Way:
        sha256 = file["sha256"] or ""
        if file["size"] and not sha256:
            raise CannotExport("it is not here any more", hint="run the same command again")
        blob = self.cache / "blobs/sha256" / sha256[:2] / sha256
        piece = Piece(file["path"], file["size"], sha256, blob)
        try:
            return self.folder.put(piece, note)
        except FileNotFoundError:
            raise CannotExport(
                "it is not here any more", hint="the cache is smaller than the repo: --cache-size"
            ) from None

    def _state(self, state: str, size: int, total: tuple[int, int]) -> Json:
        """How far it is, of `total` files and bytes, told as a job is: what failed is not done."""
        return {
            "id": 0,
            "kind": "export",
            "state": state,
            "arguments": {"repo": self.repo, "revision": self.revision},
            "progress": {
                "files": self.ways.total(),
                "files_total": total[0],
                "bytes": size,
                "bytes_total": total[1],
                "rate": 0.0,
                "eta": None,
            },
        }

    # --- the end -----------------------------------------------------------------------

    def report(self, *, as_json: bool) -> None:
        """Say what became of it; exit with 1 if some files are not there."""
        if as_json:
            show_json(self._as_json())
        else:
            self._tell()
        for path, reason in self.failures.items():
            click.secho(f"hubfs: {shown(path)}: {reason}", fg="red", err=True)
        for hint in sorted(filter(None, self.hints)):
            click.echo(f"  {hint}", err=True)
        if self.failures:
            raise click.exceptions.Exit(1)

    def _as_json(self) -> Json:
        return {
            "repo": self.repo,
            "commit": self.commit,
            "directory": str(self.folder.path),
            "files": self.ways.total(),
            "bytes": self.size,
            "ways": dict(self.ways),
            "failures": self.failures,
        }

    def _tell(self) -> None:
        ways = ", ".join(
            f"{count} by {way}" for way, count in self.ways.items() if way != "present"
        )
        here = self.ways[Way.PRESENT]
        lacking = f"{len(self.failures)} not written" * bool(self.failures)
        told = ", ".join(filter(None, (ways, f"{here} there already" * bool(here), lacking)))
        text = f"{self.repo} at {self.commit[:12]}: {files_text(self.ways.total())}, "
        text += f"{size_text(self.size)} in {shown(str(self.folder.path))}"
        click.echo(f"{text} ({told})" if told else text)
        if self.ways[Way.LINK]:
            click.echo(_WARNING, err=True)
