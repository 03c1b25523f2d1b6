"""Names of the Hub: repos, revisions, commits, and the grammar that refuses the rest.

The grammar is huggingface_hub's own (`utils/_validators.py`): what it refuses no
repo can be called, so such a name is absent without asking anyone.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

_PART = r"\b[\w\-.]{1,96}\b"
_PART_RE = re.compile(_PART, re.ASCII)
_COMMIT_RE = re.compile(r"[0-9a-f]{40}")
_FORBIDDEN_IN_REVISION = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[/.-]|[/.]$|^@$"
)

# Names that desktops and volume managers probe for in every directory they see.
_PROBES = frozenset({"autorun.inf", "desktop.ini", "thumbs.db", "lost+found"})

DEFAULT_REVISION = ""
MAX_REVISION_BYTES = 200


class RepoKind(enum.Enum):
    """What a repo holds; the value is its segment in API paths and at the mount's root."""

    MODEL = "models"
    DATASET = "datasets"
    SPACE = "spaces"

    @property
    def url_prefix(self) -> str:
        """The segment before the id in `/resolve/` addresses; models have none."""
        return "" if self is RepoKind.MODEL else f"{self.value}/"


@dataclass(frozen=True, slots=True)
class RepoId:
    """A repo: `org/name`, or a bare legacy name such as `gpt2`."""

    kind: RepoKind
    name: str

    @property
    def org(self) -> str:
        """The part before the slash; empty for a legacy name."""
        return self.name.rpartition("/")[0]

    @property
    def base(self) -> str:
        """The part after the slash."""
        return self.name.rpartition("/")[2]

    def __str__(self) -> str:
        return self.kind.url_prefix + self.name


@dataclass(frozen=True, slots=True)
class RevisionName:
    """How a user spelt a repo directory: `base`, and the revision after `@` if any."""

    base: str
    revision: str = DEFAULT_REVISION

    def __str__(self) -> str:
        if not self.revision:
            return self.base
        return f"{self.base}@{encode_revision(self.revision)}"


def is_name_part(text: str) -> bool:
    """Whether `text` may be an organisation's or a repo's name."""
    if text.lower() in _PROBES or text.endswith(".git"):
        return False
    return bool(_PART_RE.fullmatch(text)) and "--" not in text and ".." not in text


def is_repo_name(text: str) -> bool:
    """Whether `text` may be a repo id: `org/name` or a bare legacy name."""
    parts = text.split("/")
    return len(parts) <= 2 and all(is_name_part(part) for part in parts)


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit hash, which can never move."""
    return bool(_COMMIT_RE.fullmatch(revision))


def is_revision(text: str) -> bool:
    """Whether git would accept `text` as the name of a branch, tag or commit."""
    if not text or _FORBIDDEN_IN_REVISION.search(text):
        return False
    try:
        return len(text.encode()) <= MAX_REVISION_BYTES
    except UnicodeEncodeError:  # a file name that is not UTF-8: the Hub speaks JSON
        return False


def encode_revision(revision: str) -> str:
    """Spell `revision` as part of a file name: `/` becomes `%2F`, `%` becomes `%25`."""
    return revision.replace("%", "%25").replace("/", "%2F")


def decode_revision(text: str) -> str:
    """Undo `encode_revision`; `%2f` is accepted too, any other `%` stands for itself."""
    return re.sub(r"%2[Ff]", "/", text).replace("%25", "%")


def find_repo_id(text: str) -> RepoId | None:
    """Read `org/name`, `datasets/org/name` or `spaces/org/name`; None when no repo is called so."""
    prefix, slash, rest = text.partition("/")
    kinds = {kind.value: kind for kind in RepoKind}
    kind, name = (kinds[prefix], rest) if slash and prefix in kinds else (RepoKind.MODEL, text)
    return RepoId(kind, name) if is_repo_name(name) else None


def find_revision_name(text: str) -> RevisionName | None:
    """Read `base` or `base@REV`; None when no repo can be called that."""
    base, at, encoded = text.partition("@")
    if not is_name_part(base):
        return None
    if not at:
        return RevisionName(base)
    revision = decode_revision(encoded)
    return RevisionName(base, revision) if is_revision(revision) else None
