"""Routes below /api: infos, trees, refs, lists."""

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from tests.localhub.addresses import Address, kind_of, parse_api, split_revision
from tests.localhub.admission import about, admit, commit_at
from tests.localhub.answers import json_answer, json_bytes, next_link
from tests.localhub.descriptions import (
    describe_commit,
    describe_entry,
    describe_in_list,
    describe_refs,
    describe_repo,
    narrowed,
)
from tests.localhub.refusals import (
    anonymous_not_found,
    bad_request,
    directory_not_found,
    no_such_route,
)
from tests.localhub.repository import Repository
from tests.localhub.state import HubState
from tests.localhub.trees import PageKey
from tests.localhub.wire import Request, Response

_Route = Callable[[HubState, Request, Address, Repository], Response]


def answer_api(hub: HubState, request: Request) -> Response:
    """Answer /api/... except resolve-cache."""
    segments = request.segments
    while segments and not segments[-1]:
        segments = segments[:-1]  # a trailing slash changes nothing
    if segments == ("api", "whoami-v2"):
        return _whoami(hub, request)
    if len(segments) == 2:
        return _list_repos(hub, request, segments[1])
    if len(segments) < 3:
        raise no_such_route()
    return _answer_repo(hub, request, parse_api(segments))


def _answer_repo(hub: HubState, request: Request, address: Address) -> Response:
    verb = address.rest[0] if address.rest else "info"
    if verb not in _ROUTES or (request.method == "POST") != (verb == "paths-info"):
        raise no_such_route()
    repo = admit(hub, request, address, content=verb == "xet-read-token")
    return _ROUTES[verb](hub, request, address, repo)


def _info(hub: HubState, request: Request, address: Address, repo: Repository) -> Response:
    revision = split_revision(address.rest[1:])[0] if address.rest else "HEAD"
    info = describe_repo(repo, commit_at(repo, revision), blobs=request.flag("blobs"))
    wanted = request.query.get("expand")
    return json_answer(narrowed(info, wanted) if wanted else info, about(repo))


def _tree(hub: HubState, request: Request, address: Address, repo: Repository) -> Response:
    revision, path = split_revision(address.rest[1:])
    commit = commit_at(repo, revision)
    if path not in commit.tree.directories:
        raise directory_not_found(path, revision)
    key = _page_key(hub, request, path)
    render = partial(describe_entry, repo, commit, expand=key.expand, xet=hub.xet)
    body, has_more = commit.tree.page(key, render)
    answer = json_bytes(body, about(repo))
    return answer.with_headers(_next_page(hub, request, key)) if has_more else answer


def _page_key(hub: HubState, request: Request, path: str) -> PageKey:
    expand = request.flag("expand")
    most = hub.expanded_page_size if expand else hub.page_size
    return PageKey(path, request.flag("recursive"), expand, _offset(request), _limit(request, most))


def _next_page(hub: HubState, request: Request, key: PageKey) -> tuple[str, str]:
    cursor = _cursor(key.offset + key.limit)
    return next_link(hub.endpoint, request, limit=str(key.limit), cursor=cursor)


def _paths_info(hub: HubState, request: Request, address: Address, repo: Repository) -> Response:
    commit = commit_at(repo, split_revision(address.rest[1:])[0])
    asked = _asked_paths(request)
    entries = [
        describe_entry(repo, commit, path, expand=asked["expand"], xet=hub.xet)
        for path in asked["paths"]
        if path and commit.tree.has(path)
    ]
    return json_answer(entries, about(repo))


def _asked_paths(request: Request) -> dict[str, Any]:
    """Read a form (as from Python) or JSON (as from JavaScript)."""
    if "json" in request.headers.get("content-type", ""):
        asked = json.loads(request.body)
        paths = asked.get("paths", [])
        return {
            "paths": [paths] if isinstance(paths, str) else paths,
            "expand": asked.get("expand"),
        }
    form = parse_qs(request.body.decode())
    return {"paths": form.get("paths", []), "expand": form.get("expand") in (["true"], ["True"])}


def _refs(hub: HubState, request: Request, address: Address, repo: Repository) -> Response:
    refs = describe_refs(repo, with_pull_requests=request.flag("include_prs"))
    return json_answer(refs, about(repo))


def _commits(hub: HubState, request: Request, address: Address, repo: Repository) -> Response:
    commit = commit_at(repo, split_revision(address.rest[1:])[0])
    limit, page = _limit(request, 1000, usual=50), int(request.option("p") or 0)
    history = repo.history(commit)
    start, stop = page * limit, (page + 1) * limit
    answer = json_answer([describe_commit(one) for one in history[start:stop]], about(repo))
    answer = answer.with_headers(("X-Total-Count", str(len(history))))
    if stop >= len(history):
        return answer
    return answer.with_headers(next_link(hub.endpoint, request, p=str(page + 1)))


def _xet_token(hub: HubState, request: Request, address: Address, repo: Repository) -> Response:
    expires = 4_000_000_000
    token = {"casUrl": hub.xet_cas_url, "exp": expires, "accessToken": "xet-token"}
    return json_answer(token, about(repo)).with_headers(
        ("X-Xet-Cas-Url", hub.xet_cas_url),
        ("X-Xet-Access-Token", "xet-token"),
        ("X-Xet-Token-Expiration", str(expires)),
    )


_ROUTES: Mapping[str, _Route] = {
    "info": _info,
    "revision": _info,
    "tree": _tree,
    "paths-info": _paths_info,
    "refs": _refs,
    "commits": _commits,
    "xet-read-token": _xet_token,
}


def _whoami(hub: HubState, request: Request) -> Response:
    account = hub.accounts.identify(request.headers.get("authorization"))
    if account is None:
        raise anonymous_not_found(with_code=False)
    token = {"displayName": "localhub", "role": "read"}
    return json_answer(
        {
            "type": "user",
            "id": "0" * 24,
            "name": account.name,
            "fullname": account.name,
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def _list_repos(hub: HubState, request: Request, plural: str) -> Response:
    found = _matching(hub, request, hub.repos(kind_of(plural)))
    start, limit = _offset(request), _limit(request, 1000)
    shown = found[start : start + limit]
    wanted, full = request.query.get("expand"), request.flag("full")
    answer = json_answer([describe_in_list(repo, full=full, wanted=wanted) for repo in shown])
    if start + limit >= len(found):
        return answer
    return answer.with_headers(next_link(hub.endpoint, request, cursor=_cursor(start + limit)))


def _matching(hub: HubState, request: Request, repos: list[Repository]) -> list[Repository]:
    account = hub.accounts.identify(request.headers.get("authorization"))
    author = (request.option("author") or "").lower()
    search = (request.option("search") or "").lower()
    found = [
        repo
        for repo in repos
        if (not author or repo.author.lower() == author)
        and search in repo.id.lower()
        and (not repo.private or (account is not None and account.may_open(repo)))
    ]
    if request.option("sort") in {"lastModified", "last_modified"}:
        found.sort(key=lambda repo: repo.head.date, reverse=True)
    return found


def _limit(request: Request, most: int, usual: int | None = None) -> int:
    asked = request.option("limit")
    return max(min(int(asked), most), 1) if asked else usual or most


def _cursor(offset: int) -> str:
    return base64.b64encode(f"after:{offset}".encode()).decode()


def _offset(request: Request) -> int:
    cursor = request.option("cursor")
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor).decode().removeprefix("after:"))
    except ValueError:
        raise bad_request("Invalid cursor") from None
