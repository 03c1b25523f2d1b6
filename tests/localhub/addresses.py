"""Which repo, revision and file a URL names. Pure.

Works on segments that are still percent-encoded: a slash inside a segment is
part of a name, and one inside a repo id is an error.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from tests.localhub.content import KINDS, Kind
from tests.localhub.refusals import encoded_slash, no_such_route

Segments = tuple[str, ...]

_API_VERBS = frozenset({"revision", "tree", "paths-info", "refs", "commits", "xet-read-token"})
_FILE_VERBS = frozenset({"resolve", "raw"})
_REF_SPACES = frozenset({"pr", "convert", "heads", "tags"})
_PLURALS: dict[str, Kind] = {f"{kind}s": kind for kind in KINDS}
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Address:
    """A URL's path, cut into what precedes the repo id, the id, and the rest."""

    prefix: Segments
    kind: Kind
    repo_id: str
    rest: Segments

    def moved_to(self, repo_id: str, query: str) -> str:
        """Return the same URL for another repo."""
        path = "/" + "/".join((*self.prefix, repo_id, *self.rest))
        return f"{path}?{query}" if query else path


def kind_of(plural: str) -> Kind:
    """Return the kind that a URL calls `models`, `datasets` or `spaces`."""
    if plural not in _PLURALS:
        raise no_such_route()
    return _PLURALS[plural]


def parse_api(segments: Segments) -> Address:
    """Read /api/{kind}s/{id}[/{verb}...]."""
    kind = kind_of(segments[1])
    is_bare = len(segments) == 3 or segments[3] in _API_VERBS
    return _address(segments, 2, 1 if is_bare else 2, kind)


def parse_page(segments: Segments) -> Address:
    """Read /[datasets/|spaces/]{id}/{resolve|raw}/..."""
    kind = _PLURALS.get(segments[0], "model") if segments[0] != "models" else "model"
    start = 0 if kind == "model" else 1
    for length in (1, 2):
        if (
            segments[start + length : start + length + 1]
            and segments[start + length] in _FILE_VERBS
        ):
            return _address(segments, start, length, kind)
    raise no_such_route()


def parse_cache(segments: Segments) -> Address:
    """Read /api/resolve-cache/{kind}s/{id}/{commit}/..."""
    if len(segments) < 6:
        raise no_such_route()
    return _address(segments, 3, 1 if _COMMIT.fullmatch(segments[4]) else 2, kind_of(segments[2]))


def split_revision(rest: Segments) -> tuple[str, str]:
    """Return revision and path; `refs/pr/1` may come with its slashes bare."""
    is_ref = len(rest) > 2 and rest[0] == "refs" and rest[1] in _REF_SPACES
    count = 3 if is_ref else 1
    return unquote("/".join(rest[:count])), unquote("/".join(rest[count:]))


def quote_path(path: str) -> str:
    """Encode a file's path as the Hub does in its Locations."""
    return quote(path, safe="/")


def _address(segments: Segments, start: int, length: int, kind: Kind) -> Address:
    names = segments[start : start + length]
    if any("%2f" in name.lower() for name in names):
        raise encoded_slash("/".join(names))
    repo_id = unquote("/".join(names))
    return Address(segments[:start], kind, repo_id, segments[start + length :])
