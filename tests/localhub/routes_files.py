"""Routes to file content: resolve, resolve-cache, raw, and the CDN behind them."""

import hashlib
import time
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, urlencode

from tests.localhub.addresses import (
    parse_cache,
    parse_page,
    quote_path,
    split_revision,
)
from tests.localhub.admission import about, admit, commit_at
from tests.localhub.answers import disposition, file_answer, gzipped, matches
from tests.localhub.content import Content
from tests.localhub.refusals import (
    bad_signature,
    entry_not_found,
    expired_signature,
    no_such_key,
    no_such_route,
    unwanted_authorization,
)
from tests.localhub.repository import Commit, Repository
from tests.localhub.signing import BadSignature, Expired
from tests.localhub.state import HubState
from tests.localhub.wire import Headers, Request, Response, Subject, to_json, whole

_FILE_INFO = "application/vnd.xet-fileinfo+json"


class _Found(NamedTuple):
    """A file, and where it was found."""

    repo: Repository
    commit: Commit
    path: str
    content: Content

    @property
    def subject(self) -> Subject:
        return about(self.repo, self.path)

    @property
    def commit_header(self) -> tuple[str, str]:
        return "X-Repo-Commit", self.commit.oid


def answer_file(hub: HubState, request: Request) -> Response:
    """Answer /[kind/]{id}/{resolve|raw}/{revision}/{path}."""
    address = parse_page(request.segments)
    if request.method not in {"GET", "HEAD"}:
        raise no_such_route()
    found = _find(admit(hub, request, address, content=True), address.rest[1:])
    if address.rest[0] == "raw":
        return _raw(request, found)
    if matches(request, found.content.etag):
        return _not_modified(found)
    if found.content.sha256:
        return _to_cdn(hub, request, found)
    return _to_cache(request, found)


def answer_cache(hub: HubState, request: Request) -> Response:
    """Answer /api/resolve-cache/...: what resolve redirects to for a plain file."""
    address = parse_cache(request.segments)
    found = _find(admit(hub, request, address, content=True), address.rest)
    if matches(request, found.content.etag):
        return _not_modified(found)
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("ETag", f'"{found.content.etag}"'),
        found.commit_header,
        ("Content-Disposition", disposition(found.path)),
    )
    answer = file_answer(request, found.content, found.subject, headers)
    return gzipped(answer) if _is_compressed(hub, request, answer) else answer


def answer_cdn(hub: HubState, request: Request) -> Response:
    """Answer a signed address on the other origin."""
    if "authorization" in request.headers:
        return unwanted_authorization()
    resource = request.target.partition("?")[0]
    try:
        grant = hub.signer.check(resource, request.query, time.time())
    except BadSignature:
        return bad_signature()
    except Expired:
        return expired_signature()
    subject = Subject(grant.repo, grant.path)
    xet_hash = resource.rpartition("/")[2]
    content = hub.contents.get(xet_hash)
    if content is None:
        return replace(no_such_key(), subject=subject)
    headers = (
        ("Content-Type", "application/octet-stream"),
        # The CDN's ETag is not the sha256.
        ("ETag", f'"{xet_hash}"'),
        ("Content-Disposition", disposition(grant.path)),
        ("Cache-Control", "public, max-age=31536000"),
    )
    return file_answer(request, content, subject, headers)


def _find(repo: Repository, rest: tuple[str, ...]) -> _Found:
    revision, path = split_revision(rest)
    commit = commit_at(repo, revision)
    content = commit.tree.files.get(path)
    if content is None:
        raise entry_not_found(commit.oid)
    return _Found(repo, commit, path, content)


def _raw(request: Request, found: _Found) -> Response:
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("ETag", f'"{found.content.oid}"'),
        found.commit_header,
    )
    if not found.content.sha256:
        return file_answer(request, found.content, found.subject, headers)
    pointer = found.content.pointer
    shown = Content(pointer, len(pointer), found.content.oid)
    return replace(file_answer(request, shown, found.subject, headers), is_content=False)


def _is_compressed(hub: HubState, request: Request, answer: Response) -> bool:
    accepted = "gzip" in request.headers.get("accept-encoding", "")
    # CloudFront's own bounds for what is worth it.
    return hub.compress and accepted and answer.status == 200 and 1000 <= answer.length <= 10**7


def _not_modified(found: _Found) -> Response:
    headers = (("ETag", f'"{found.content.etag}"'), found.commit_header)
    return Response(304, headers, subject=found.subject)


def _to_cache(request: Request, found: _Found) -> Response:
    repo, commit, path, content = found
    asked = quote(request.target.partition("?")[0], safe="")
    location = (
        f"/api/resolve-cache/{repo.plural}/{quote_path(repo.id)}/{commit.oid}/{quote_path(path)}"
        f"?{asked}=&etag=%22{content.oid}%22"
    )
    return _redirect(307, location, (found.commit_header,), found.subject)


def _to_cdn(hub: HubState, request: Request, found: _Found) -> Response:
    headers: Headers = (
        found.commit_header,
        ("X-Linked-Size", str(found.content.size)),
        ("X-Linked-ETag", f'"{found.content.sha256}"'),
    )
    if hub.xet:
        headers += _xet_headers(hub, found)
        if _FILE_INFO in request.headers.get("accept", ""):
            return _xet_file_info(headers, found)
    return _redirect(302, _signed_address(hub, found), headers, found.subject)


def _signed_address(hub: HubState, found: _Found) -> str:
    repo, _, path, content = found
    shelf = hashlib.sha256(f"{repo.kind}:{repo.id}".encode()).hexdigest()[:24]
    resource = f"/xet-bridge-us/{shelf}/{content.xet_hash}"
    expires = time.time() + hub.signature_lifetime
    shown = urlencode(
        {"X-Xet-Cas-Uid": "public", "response-content-disposition": disposition(path)}
    )
    signature = hub.signer.sign(resource, expires, repo.id, path)
    return f"{hub.cdn_endpoint}{resource}?{shown}&{signature}"


def _redirect(status: int, location: str, headers: Headers, subject: Subject) -> Response:
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Location", location),
        ("Accept-Ranges", "bytes"),
        *headers,
    )
    words = "Temporary Redirect" if status == 307 else "Found"
    return Response(status, headers, whole(f"{words}. Redirecting to {location}".encode()), subject)


def _xet_headers(hub: HubState, found: _Found) -> Headers:
    repo, commit, _, content = found
    token = f"{hub.endpoint}/api/{repo.plural}/{repo.id}/xet-read-token/{commit.oid}"
    reconstruction = f"{hub.xet_cas_url}/v1/reconstructions/{content.xet_hash}"
    links = f'<{token}>; rel="xet-auth", <{reconstruction}>; rel="xet-reconstruction-info"'
    return (("X-Xet-Hash", content.xet_hash), ("Link", links))


def _xet_file_info(headers: Headers, found: _Found) -> Response:
    headers = (("Content-Type", _FILE_INFO), *headers)
    body = to_json({"hash": found.content.xet_hash, "size": found.content.size})
    return Response(200, headers, whole(body), found.subject)
