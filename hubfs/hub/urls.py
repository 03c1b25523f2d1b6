"""Addresses of the Hub's API and its files, and those that the Hub sends us to. Pure.

Quoting is the Hub's: a revision is one path segment, so its slashes are
escaped; a file's path keeps its slashes; `#`, `?`, `%`, `+` and all that is not
ASCII are escaped everywhere.
"""

from __future__ import annotations

import calendar
import ipaddress
import re
import socket
import time
from urllib.parse import SplitResult, parse_qs, quote, urljoin, urlsplit, urlunsplit

from hubfs.config.addresses import DEFAULT_PORTS, has_place
from hubfs.errors import ProtocolViolation
from hubfs.model.content import Source
from hubfs.model.identifiers import RepoId

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_KEPT = "!#$%&'()*+,/:;=?@[]"  # what has a meaning in an address, beside letters and digits
_PARAMETER = re.compile(r'\s*;\s*([^\s;,="<>]+)\s*(?:=\s*("[^"]*"|[^\s;,"<>]*))?')

Origin = tuple[str, str, int]


def origin_of(url: str) -> Origin:
    """Scheme, host and port: what decides whether a token may go there.

    Raises:
        ValueError: the address has no readable port.
    """
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), port_of(parts)


def port_of(parts: SplitResult) -> int:
    """The port of an address, by its scheme if it names none."""
    return DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port


def host_of(url: str) -> str:
    """The host, for messages: the rest of an address may hold a signature."""
    return urlsplit(url).netloc.rpartition("@")[2]


def following(url: str, location: str) -> str:
    """The address that a redirect from `url` leads to.

    `location` is the header's value with each byte as one character (latin-1).
    The result is spelt so that no two parsers can read different hosts in it.
    Link-local addresses are refused: clouds keep machines' credentials there,
    and give them to whoever asks.

    Raises:
        ProtocolViolation: it is not a clean address of http or https.
    """
    try:
        escaped = quote(location.encode("latin-1"), safe=_KEPT)
        parts = urlsplit(urljoin(url, escaped))
        is_clean = has_place(parts) and parts.netloc.lower() == _place(parts)
        is_clean &= not _is_link_local(parts.hostname or "")
    except ValueError:
        is_clean = False
    if not is_clean or _CONTROLS.search(location):
        raise ProtocolViolation(f"{host_of(url)} redirects to what is no http address")
    place = _place(parts).removesuffix(f":{DEFAULT_PORTS[parts.scheme]}")
    return urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))


def is_downgrade(url: str, following_url: str) -> bool:
    """Whether a redirect gives up TLS."""
    return urlsplit(url).scheme == "https" and urlsplit(following_url).scheme != "https"


def _is_link_local(host: str) -> bool:
    """Whether a host is a link-local address, in any spelling that the system reads as one."""
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        return (address.ipv4_mapped or address).is_link_local
    try:
        # Also 2852039166, 0xa9fea9fe and 169.254.43518, as getaddrinfo does.
        return ipaddress.IPv4Address(socket.inet_aton(host.removesuffix("."))).is_link_local
    except OSError:
        return False


def _place(parts: SplitResult) -> str:
    """Host and port as they should be spelt."""
    host = (parts.hostname or "").lower()
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if parts.port is None else f"{bracketed}:{parts.port}"


def repo_url(endpoint: str, repo: RepoId, revision: str = "") -> str:
    """The address of a repo's metadata, at its default revision or at `revision`."""
    base = f"{endpoint}/api/{repo.kind.value}/{quote(repo.name)}"
    return f"{base}/revision/{quote(revision, safe='')}" if revision else base


def tree_url(endpoint: str, repo: RepoId, commit: str, directory: str = "") -> str:
    """The address of a listing of `commit`, or of one directory of it, without its query."""
    base = f"{endpoint}/api/{repo.kind.value}/{quote(repo.name)}/tree/{quote(commit, safe='')}"
    return f"{base}/{quote(directory)}" if directory else base


def refs_url(endpoint: str, repo: RepoId) -> str:
    """The address of a repo's branches and tags."""
    return f"{endpoint}/api/{repo.kind.value}/{quote(repo.name)}/refs"


def author_url(endpoint: str, kind: str) -> str:
    """The address that lists repos, by author among others, without its query."""
    return f"{endpoint}/api/{kind}"


def content_url(endpoint: str, source: Source) -> str:
    """The address of a file, which redirects to where its bytes are."""
    return f"{endpoint}/{quote(source.repo_path)}/resolve/{source.commit}/{quote(source.path)}"


def next_query(link: str | None) -> str | None:
    """The query of the next page named by a `Link` header (RFC 8288); None on the last page.

    Only the query is taken: mirrors relay the address of the Hub behind
    them, and the token must not follow it there.
    """
    position, text = 0, link or ""
    while (opening := text.find("<", position)) >= 0 and (closing := text.find(">", opening)) > 0:
        target, position = text[opening + 1 : closing], closing + 1
        relations: list[str] = []
        while parameter := _PARAMETER.match(text, position):
            position = parameter.end()
            if parameter[1].lower() == "rel":
                relations += (parameter[2] or "").strip('"').lower().split()
        if "next" in relations:
            return quote(target.partition("#")[0].partition("?")[2], safe=_KEPT)
    return None


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
