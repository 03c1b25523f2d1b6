"""Addresses of the Hub's API and its files. Pure.

Quoting is the Hub's: a revision is one path segment, so its slashes are
escaped; a file's path keeps its slashes; `#`, `?`, `%`, `+` and all that is not
ASCII are escaped everywhere.
"""

from __future__ import annotations

import calendar
import re
import time
from urllib.parse import parse_qs, quote, urlsplit

from hubfs.errors import UsageError
from hubfs.model.content import Source
from hubfs.model.identifiers import RepoId

_LINK = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


def checked_endpoint(text: str) -> str:
    """`text` as an endpoint without a trailing slash.

    Raises:
        UsageError: it is not an http or https address.
    """
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment:
        hint = "an endpoint looks like https://huggingface.co"
        raise UsageError(f"not an endpoint: {text!r}", hint=hint)
    if parts.username or parts.password:
        hint = "give the token in HF_TOKEN or with `hf auth login`"
        raise UsageError("an endpoint must not contain credentials", hint=hint)
    return text.rstrip("/")


def origin_of(url: str) -> Origin:
    """Scheme, host and port: what decides whether a token may go there.

    Raises:
        ValueError: the address has no readable port.
    """
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def host_of(url: str) -> str:
    """The host, for messages: the rest of an address may hold a signature."""
    return urlsplit(url).netloc.rpartition("@")[2]


def repo_url(endpoint: str, repo: RepoId, revision: str = "") -> str:
    """The address of a repo's metadata, at its default revision or at `revision`."""
    base = f"{endpoint}/api/{repo.kind.value}/{quote(repo.name)}"
    return f"{base}/revision/{quote(revision, safe='')}" if revision else base


def tree_url(endpoint: str, repo: RepoId, commit: str) -> str:
    """The address of the recursive listing of `commit`, without its query."""
    return f"{endpoint}/api/{repo.kind.value}/{quote(repo.name)}/tree/{quote(commit, safe='')}"


def author_url(endpoint: str, kind: str) -> str:
    """The address that lists repos, by author among others, without its query."""
    return f"{endpoint}/api/{kind}"


def content_url(endpoint: str, source: Source) -> str:
    """The address of a file, which redirects to where its bytes are."""
    return f"{endpoint}/{quote(source.repo_path)}/resolve/{source.commit}/{quote(source.path)}"


def next_query(link: str | None) -> str | None:
    """The query of the next page named by a `Link` header.

    Only the query is taken: mirrors relay the address of the Hub behind
    them, and the token must not follow it there.
    """
    found = _LINK.search(link or "")
    return urlsplit(found[1]).query if found else None


def expiry_of(url: str, now: float) -> float:
    """When a signed address ends, in seconds since the epoch.

    CloudFront says `Expires=`, S3 `X-Amz-Date` and `X-Amz-Expires`. An address
    that says nothing, or that says it is over before it was used (our clock may
    be wrong), is used for ten minutes: a 403 will tell.
    """
    query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    try:
        if "expires" in query:
            expiry = float(query["expires"])
        else:
            signed = time.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ")
            expiry = calendar.timegm(signed) + float(query["x-amz-expires"])
    except (KeyError, ValueError):
        return now + 600
    return expiry if expiry > now else now + 600
