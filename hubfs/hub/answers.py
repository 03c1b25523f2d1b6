"""What the Hub's answers mean. Pure: statuses, headers and JSON in; values and errors out.

Classification goes by status, `X-Error-Code` and `X-Error-Message` only:
mirrors, plain http and proxies change everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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
from hubfs.model.identifiers import is_commit, is_repo_name
from hubfs.model.tree import TreeFile

_REMAINING = re.compile(r'"(?P<bucket>[^"]+)"\s*;\s*r=(?P<left>\d+)\s*;\s*t=(?P<reset>\d+)')
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the Hub's message
_DISABLED = "Access to this resource is disabled."
_TOKEN_HINT = "set HF_TOKEN, or log in with `hf auth login`"  # noqa: S105 - a hint
_RETRIED = frozenset({408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


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


def error_of(status: int, headers: Mapping[str, str], subject: str) -> HubError:
    """The error that an answer of `status` means; `subject` is what was asked for."""
    code = headers.get("x-error-code", "")
    message = headers.get("x-error-message", "")
    if code in _BY_CODE:
        kind, text = _BY_CODE[code]
        return kind(f"{subject}: {text}", hint=_hint(kind, message))
    if status == 429:
        return RateLimited(
            f"{subject}: the Hub's rate limit is reached", retry_after=retry_after(headers)
        )
    if status in _RETRIED or status >= 500:
        return HubUnreachable(f"{subject}: the Hub answered {status}")
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


def retry_after(headers: Mapping[str, str], default: float = 5.0) -> float:
    """How many seconds the Hub asks us to wait: until the bucket refills, else `Retry-After`."""
    state = rate_state(headers)
    if state and state.left == 0:
        return state.reset + 1
    text = headers.get("retry-after", "")
    return float(text) if text.isdigit() else default


def rate_state(headers: Mapping[str, str]) -> RateState | None:
    """Read a `RateLimit` header: `"api";r=0;t=55`."""
    found = _REMAINING.search(headers.get("ratelimit", ""))
    return RateState(found["bucket"], int(found["left"]), float(found["reset"])) if found else None


def content_range(header: str | None) -> tuple[int, int, int] | None:
    """Read a `Content-Range` header as (start, stop, total), stop exclusive."""
    found = _CONTENT_RANGE.fullmatch((header or "").strip())
    return (int(found[1]), int(found[2]) + 1, int(found[3])) if found else None


def repo_info(body: object, subject: str) -> RepoInfo:
    """Read the JSON of a repo.

    Raises:
        ProtocolViolation: it lacks an id or a commit that could be one.
    """
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    name, commit = fields.get("id"), fields.get("sha")
    if not isinstance(name, str) or not is_repo_name(name):
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


def tree_files(body: object, subject: str) -> list[TreeFile]:
    """Read one page of a recursive listing; directories are implied by paths and passed over.

    Raises:
        ProtocolViolation: it is not a listing.
    """
    if not isinstance(body, list):
        raise ProtocolViolation(f"{subject}: the answer is not a listing")
    try:
        return [_tree_file(each) for each in body if each["type"] == "file"]
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolViolation(f"{subject}: the listing has an unreadable entry") from error


def _tree_file(item: dict[str, Any]) -> TreeFile:
    lfs = item.get("lfs") or {}
    # For LFS files `oid` and sometimes `size` are those of the pointer: only `lfs` counts.
    size = int(lfs.get("size", item["size"]))
    sha256 = lfs.get("oid") or lfs.get("sha256")
    xet_hash = item.get("xetHash")
    return TreeFile(
        str(item["path"]),
        size,
        str(item["oid"]),
        str(sha256) if sha256 else None,
        str(xet_hash) if xet_hash else None,
    )


def timestamp(text: object) -> float:
    """Seconds since the epoch of an ISO date; 0 for anything else."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
