"""What a scan finds before it reads anything: the files that count, and those that do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hubfs.model.classification import Kind, classify
from hubfs.model.hubcaches import Role, find_repo_folder, role_of
from hubfs.store.foreign import ForeignFile, Identity, Walk

_UNFINISHED: Final = (
    ".incomplete",
    ".lock",
    ".part",
    ".partial",
    ".tmp",
    ".crdownload",
    ".aria2",
    ".download",
)
_MARKS: Final = ("/CACHEDIR.TAG", "/.huggingface-shared-blobs", "/.DS_Store")
_CLOSED: Final = frozenset({".git", ".locks", ".no_exist", "__pycache__"})
_OLLAMA: Final = re.compile(r"sha256-[0-9a-f]{64}")
_OLLAMA_UNFINISHED: Final = re.compile(rf"{_OLLAMA.pattern}-partial(-\d+)?")
_AT_ONCE: Final = 1000


@dataclass(slots=True, eq=False)
class Candidate:
    """A file, once however many names it has. What `is_wanted` is adopted, known or not."""

    file: ForeignFile
    is_wanted: bool


@dataclass(slots=True)
class Survey:
    """All of a folder."""

    candidates: dict[Identity, Candidate] = field(default_factory=dict)
    repo_folders: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    skipped_size: int = 0

    def meet(self, file: ForeignFile, *, wants_all: bool) -> None:
        """Take in a file under one of its names."""
        role = role_of(file.path)
        folder = find_repo_folder(file.path) if role is not Role.NONE else None
        if folder is not None:
            self.repo_folders.add(folder)
        if role is Role.BOOKKEEPING or _is_junk(file):
            self.skipped += 1
            self.skipped_size += file.size
            return
        is_wanted = wants_all or role is Role.BYTES or is_model(file.path)
        known = self.candidates.setdefault(file.identity, Candidate(file, is_wanted))
        known.is_wanted |= is_wanted


def _is_junk(file: ForeignFile) -> bool:
    return not file.size or _is_unfinished(file.path) or file.path.endswith(_MARKS)


def _is_unfinished(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.lower().endswith(_UNFINISHED) or bool(_OLLAMA_UNFINISHED.fullmatch(name))


def is_model(path: str) -> bool:
    """Whether the file at `path` holds weights, as far as its name tells."""
    name = path.rpartition("/")[2]
    return bool(_OLLAMA.fullmatch(name)) or classify(name).kind is Kind.MODEL


def survey_of(
    root: str,
    avoided: frozenset[Identity],
    *,
    wants_all: bool,
    note: Callable[[], None] = lambda: None,
) -> Survey:
    """Walk the folder, or file, at `root`. Blocks; `note` is called now and then, and may raise."""
    found = Survey()
    walk = Walk(refuses=_CLOSED.__contains__, avoided=avoided)
    for at, file in enumerate(walk.files(root)):
        found.meet(file, wants_all=wants_all)
        if not at % _AT_ONCE:
            note()
    found.skipped += walk.special
    found.unreadable = walk.unreadable
    return found
