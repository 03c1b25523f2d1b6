"""What the Hub's answers mean. Pure: statuses, headers and JSON in; values and errors out.

Classification goes by status, `X-Error-Code` and `X-Error-Message` only:
mirrors, plain http and proxies change everything else. Nothing in an answer is
believed to have the type, the sign or the size that it should have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hubfs.errors import (
    AccessDenied,
    BadToken,
    EntryNotFound,
    HubError,
    HubUnreachable,
    ProtocolViolation,
    RateLimited,
    RepoNotFound,
    RevisionNotFound,
)
from hubfs.model.identifiers import RepoKind, is_commit, is_repo_name, is_revision
from hubfs.model.tree import TreeFile

LONGEST_PAUSE = 600.0  # the Hub's windows last 300 s: who asks for more is not believed
SHORTEST_PAUSE = 1.0

_BUCKET = re.compile(r'"([^"]+)"((?:\s*;\s*[a-z]+\s*=\s*[^\s;,"]+)*)')
_PARAMETER = re.compile(r"\b([rt])\s*=\s*([0-9]{1,15})(?=[\s;]|$)")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", re.IGNORECASE)
_LATEST = float(1 << 33)  # in the year 2242: what file systems can say in nanoseconds
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the Hub's message
_DISABLED = "Access to this resource is disabled."
_TOKEN_HINT = "set HF_TOKEN, or log in with `hf auth login`"  # noqa: S105 - a hint
_LONGEST_MESSAGE = 300
_NO_SIZE = -1


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A repo at a revision. `last_modified` in seconds since the epoch."""

    name: str
    commit: str
    last_modified: float
    private: bool = False
    gated: bool = False
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class RateState:
    """What a `RateLimit` header says of a bucket: requests left, seconds until it is full again."""

    bucket: str
    left: int
    reset: float


# --- refusals --------------------------------------------------------------------------


def error_of(status: int, headers: Mapping[str, str], subject: str) -> HubError:
    """The error that an answer of `status` means; `subject` is what was asked for."""
    if status == 429:
        return RateLimited(
            f"{subject}: the Hub's rate limit is reached", retry_after=retry_after(headers)
        )
    if status == 408 or status >= 500:
        return HubUnreachable(f"{subject}: the Hub answered {status}")
    code, message = headers.get("x-error-code", ""), _said(headers.get("x-error-message", ""))
    if code in _BY_CODE:
        kind, text = _BY_CODE[code]
        return kind(f"{subject}: {text}", hint=_hint(kind, message))
    return _by_status(status, message, subject)


_BY_CODE: dict[str, tuple[type[HubError], str]] = {
    "RevisionNotFound": (RevisionNotFound, "no such revision"),
    "EntryNotFound": (EntryNotFound, "no such file"),
    "GatedRepo": (AccessDenied, "access is gated"),
    "RepoNotFound": (RepoNotFound, "no such repo, or a private one"),
}


def _hint(kind: type[HubError], message: str) -> str:
    if kind is AccessDenied:
        return message or "ask for access on the repo's page, then " + _TOKEN_HINT
    return _TOKEN_HINT if kind is RepoNotFound else ""


def _by_status(status: int, message: str, subject: str) -> HubError:
    if status == 401 and _BAD_TOKEN in message:
        return BadToken(f"{subject}: the token is not valid", hint=_TOKEN_HINT)
    if status == 403 and _DISABLED in message:
        return AccessDenied(f"{subject}: the repo is disabled")
    if status == 403:
        return AccessDenied(f"{subject}: access is denied", hint=message or _TOKEN_HINT)
    if status in {401, 404, 410}:
        # To someone without the right, the Hub does not tell private from absent.
        return RepoNotFound(f"{subject}: no such repo, or a private one", hint=_TOKEN_HINT)
    return ProtocolViolation(f"{subject}: the Hub answered {status} {message}".rstrip())


def _said(message: str) -> str:
    """A server's words as a part of ours: one line, of a sane length, without control codes."""
    words = "".join(each if each.isprintable() else " " for each in message[:4096]).split()
    return " ".join(words)[:_LONGEST_MESSAGE]


# --- headers ---------------------------------------------------------------------------


def retry_after(headers: Mapping[str, str], default: float = 5.0) -> float:
    """How many seconds the Hub asks us to wait: until the bucket refills, else `Retry-After`."""
    empty = [state.reset + 1 for state in rate_states(headers) if not state.left]
    asked = max(empty) if empty else _retry_after_header(headers)
    return default if asked is None else min(max(asked, SHORTEST_PAUSE), LONGEST_PAUSE)


def _retry_after_header(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:  # a date, which counts from that of the answer: clocks differ
        until = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return until.total_seconds()


def rate_states(headers: Mapping[str, str]) -> list[RateState]:
    """Read a `RateLimit` header: `"api";r=0;t=55`."""
    states = []
    for bucket, parameters in _BUCKET.findall(headers.get("ratelimit", "")):
        found = dict(_PARAMETER.findall(parameters))
        if found.keys() == {"r", "t"}:
            states.append(RateState(bucket, int(found["r"]), float(found["t"])))
    return states


def content_range(header: str | None) -> tuple[int, int, int] | None:
    """Read a `Content-Range` header as (start, stop, total), stop exclusive."""
    found = _CONTENT_RANGE.fullmatch((header or "").strip())
    return (int(found[1]), int(found[2]) + 1, int(found[3])) if found else None


# --- bodies ----------------------------------------------------------------------------


def repo_info(body: object, subject: str) -> RepoInfo:
    """Read the JSON of a repo.

    Raises:
        ProtocolViolation: it lacks an id or a commit that could be one.
    """
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    name, commit = fields.get("id"), fields.get("sha")
    if not isinstance(name, str) or not is_repo_name(name) or _begins_like_a_kind(name):
        raise ProtocolViolation(f"{subject}: the answer names no repo")
    if not isinstance(commit, str) or not is_commit(commit):
        raise ProtocolViolation(f"{subject}: the answer names no commit")
    return RepoInfo(
        name,
        commit,
        timestamp(fields.get("lastModified")),
        private=bool(fields.get("private")),
        gated=bool(fields.get("gated")),
        disabled=bool(fields.get("disabled")),
    )


def _begins_like_a_kind(name: str) -> bool:
    """Whether a name would lead into another kind's part of the tree; the Hub gives none such."""
    return "/" in name and name.partition("/")[0] in {kind.value for kind in RepoKind}


def tree_files(body: object, subject: str) -> list[TreeFile]:
    """Read one page of a recursive listing; directories are implied by paths and passed over.

    A file whose size or hash cannot be one is passed on without: the tree
    counts it, and shows the others.

    Raises:
        ProtocolViolation: it is not a listing.
    """
    if not isinstance(body, list) or not all(map(_is_entry, body)):
        raise ProtocolViolation(f"{subject}: the answer is not a listing")
    return [_tree_file(each) for each in body if each["type"] == "file"]


def tree_directories(body: object) -> list[str]:
    """The paths of the directories in what `tree_files` can read."""
    items = body if isinstance(body, list) else []
    return [each["path"] for each in items if _is_entry(each) and each["type"] == "directory"]


def _is_entry(item: object) -> bool:
    fields = item if isinstance(item, dict) else {}
    return isinstance(fields.get("type"), str) and isinstance(fields.get("path"), str)


def _tree_file(item: dict[str, Any]) -> TreeFile:
    # For LFS files `oid` and sometimes `size` are those of the pointer: only `lfs` counts.
    lfs = item.get("lfs") or {}
    oid, xet_hash = _text(item.get("oid")), _text(item.get("xetHash"))
    if not isinstance(lfs, dict):
        return TreeFile(item["path"], _NO_SIZE, oid)
    size = _size(lfs.get("size", item.get("size")))
    sha256 = _text(lfs.get("oid") or lfs.get("sha256")).removeprefix("sha256:")
    is_readable = bool(sha256) or not lfs
    return TreeFile(
        item["path"], size if is_readable else _NO_SIZE, oid, sha256 or None, xet_hash or None
    )


def _size(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _NO_SIZE


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def repo_names(body: object) -> list[str]:
    """The ids in a list of repos; whatever else it holds is passed over."""
    items = body if isinstance(body, list) else []
    ids = [each.get("id") for each in items if isinstance(each, dict)]
    return [each for each in ids if isinstance(each, str) and is_repo_name(each)]


def ref_names(body: object) -> list[str]:
    """The names of a repo's branches and tags; what no revision can be called is passed over."""
    sorts = body.values() if isinstance(body, dict) else []
    refs = [ref for sort in sorts if isinstance(sort, list) for ref in sort]
    names = [ref.get("name") for ref in refs if isinstance(ref, dict)]
    return [name for name in names if isinstance(name, str) and is_revision(name)]


def timestamp(text: object) -> float:
    """Seconds since the epoch of an ISO date; 0 for anything that no file can be dated."""
    try:
        seconds = datetime.fromisoformat(_text(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return seconds if 0 <= seconds < _LATEST else 0.0
