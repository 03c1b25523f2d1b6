"""Which files of a repo a job is about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from hubfs.model.classification import Kind, classify
from hubfs.model.content import MIB, Content
from hubfs.model.patterns import matches

EAGER_SIZE: Final = 10 * MIB
_TEXT: Final = frozenset(
    "cfg css csv html ini jinja json jsonl md py rst sh toml tsv txt xml yaml yml".split()  # noqa: SIM905 - a table of one column
)
_TEXT_NAMES: Final = frozenset({"license", "notice", "readme", ".gitattributes", "dockerfile"})


@dataclass(frozen=True, slots=True)
class Selection:
    """The files that match one of `include` (or all, if there is none) and none of `exclude`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def accepts(self, path: str) -> bool:
        """Whether the file at `path` is meant."""
        if self.include and not matches(path, self.include):
            return False
        return not matches(path, self.exclude)


def is_eager(path: str, size: int, largest: int = EAGER_SIZE) -> bool:
    """Whether a sync fetches the file at once: metadata, or other text, under `largest` bytes."""
    if size >= largest:
        return False
    kind = classify(path).kind
    return kind in {Kind.CONFIG, Kind.TOKENIZER} or (kind is Kind.OTHER and _is_text(path))


def _is_text(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name in _TEXT_NAMES or name.rpartition(".")[2] in _TEXT


def distinct(files: Iterable[tuple[str, Content]]) -> Iterator[tuple[str, Content]]:
    """The first file of each content: what has the same bytes is fetched, and counted, once."""
    seen: set[bytes] = set()
    for path, content in files:
        digest = bytes.fromhex(content.sha256 or content.git_oid or "")
        if digest not in seen:
            seen.add(digest)
            yield path, content
