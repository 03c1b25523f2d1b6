"""The Hub's front door: which route answers, and what every answer carries."""

import time

from tests.localhub.quota import Balance, Bucket
from tests.localhub.refusals import Refused, rate_limited
from tests.localhub.routes_api import answer_api
from tests.localhub.routes_files import answer_cache, answer_file
from tests.localhub.state import HubState
from tests.localhub.wire import Request, Response

_EXPOSED = (
    "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,"
    "Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash"
)


def answer_hub(hub: HubState, request: Request, number: int) -> Response:
    """Answer a request to the Hub; `number` tells requests apart in X-Request-Id."""
    balance = _charge(hub, request)
    try:
        response = _route(hub, request, balance)
    except Refused as refused:
        response = refused.response()
    return response.with_headers(
        ("X-Powered-By", "huggingface-moon"),
        ("X-Request-Id", f"Root=1-localhub-{number:012x}"),
        ("Access-Control-Expose-Headers", _EXPOSED),
        ("Vary", "Origin, Accept"),
        ("X-Cache", "Miss from cloudfront"),
        *balance.headers(),
    )


def _route(hub: HubState, request: Request, balance: Balance) -> Response:
    if balance.is_exhausted:
        raise rate_limited()
    if request.segments[:2] == ("api", "resolve-cache"):
        return answer_cache(hub, request)
    if request.segments[0] == "api":
        return answer_api(hub, request)
    return answer_file(hub, request)


def _charge(hub: HubState, request: Request) -> Balance:
    caller = request.headers.get("authorization", "anonymous")
    return hub.quota.charge(_bucket(request), caller, time.time())


def _bucket(request: Request) -> Bucket:
    # That resolve-cache is charged too is a guess, on the strict side.
    if "resolve" in request.segments or "resolve-cache" in request.segments[:2]:
        return "resolvers"
    return "api" if request.segments[0] == "api" else "pages"
