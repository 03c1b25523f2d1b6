"""Every failure as problem JSON (RFC 9457): a title for people, a hint what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from hubfs import errors
from hubfs.control.models import Problem

log = logging.getLogger(__name__)

STATUSES: Final[dict[type[errors.HubfsError], int]] = {
    errors.HubfsError: 500,
    errors.UsageError: 422,
    errors.NotOnHub: 404,
    errors.AccessDenied: 403,
    errors.HubError: 502,
    errors.TransientHubError: 502,
    errors.RateLimited: 503,
    errors.Offline: 503,
    errors.StoreFull: 507,
    errors.StillNeeded: 409,
    errors.FetchStopped: 503,
    errors.NoSuchJob: 404,
    errors.WrongJobState: 409,
    errors.NoSuchEntry: 404,
}


def status_of(error: errors.HubfsError) -> int:
    """The HTTP status that says what `error` says."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def responses(*statuses: int) -> dict[int | str, dict[str, object]]:
    """What a route's document says of its failures."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _TITLES[status], "content": content} for status in (*statuses, 422)
    }


_METHODS: Final = ("DELETE", "GET", "POST")
_TITLES: Final = {
    400: "the body cannot be read",
    403: "the Hub does not let this token in",
    404: "there is no such thing",
    409: "a job in that state cannot do that",
    422: "the request cannot be right",
    502: "the Hub cannot be reached",
    503: "not now",
}


def install(app: FastAPI) -> None:
    """Answer the failures of `app` with problems."""
    app.add_exception_handler(errors.HubfsError, _handler(_of_error))
    app.add_exception_handler(RequestValidationError, _handler(_of_validation))
    app.add_exception_handler(HTTPException, _handler(_of_http))


def _handler(
    problem_of: Callable[[Exception], Problem],
) -> Callable[[Request, Exception], JSONResponse]:
    def answer(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        headers = {"allow": _allowed(request)} if problem.status == 405 else {}
        if isinstance(error, errors.RateLimited):
            headers["retry-after"] = str(int(error.retry_after) + 1)
        return JSONResponse(
            problem.model_dump(),
            problem.status,
            headers,
            media_type="application/problem+json",
        )

    return answer


def _allowed(request: Request) -> str:
    """All methods of a path; each route by itself knows only its own."""
    here = [method for method in _METHODS if _is_routed({**request.scope, "method": method})]
    return ", ".join(here)


def _is_routed(scope: MutableMapping[str, Any]) -> bool:
    return any(each.matches(scope)[0] is Match.FULL for each in scope["app"].routes)


def _of_error(error: Exception) -> Problem:
    assert isinstance(error, errors.HubfsError)  # noqa: S101 - registered for no other
    return Problem(title=str(error), status=status_of(error), hint=error.hint)


def _of_validation(error: Exception) -> Problem:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for no other
    first = error.errors()[0]
    if isinstance(first.get("input"), bytes):  # only what says that it is JSON is read as such
        hint = "send it with content-type: application/json"
        return Problem(title="what was sent is not marked as JSON", status=422, hint=hint)
    where = ".".join(str(part) for part in first["loc"])
    return Problem(
        title=f"{where}: {first['msg']}", status=422, hint="the API is described at /openapi.json"
    )


def _of_http(error: Exception) -> Problem:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
    hint = "the API is described at /openapi.json" if error.status_code in {404, 405} else ""
    return Problem(title=str(error.detail), status=error.status_code, hint=hint)
