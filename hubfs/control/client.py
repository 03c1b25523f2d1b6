"""The API from the other side: what commands call. Synchronous, over the owner's socket."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import httpx

from hubfs.errors import HubfsError, UsageError

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]

LONGEST_SILENCE = 60.0
_ENDED = frozenset({"completed", "failed", "cancelled"})
_GOES_ON = "its jobs go on when it runs again, or when they are asked for again"


def has_ended(job: Json) -> bool:
    """Whether nothing more will happen to a job by itself."""
    return job["state"] in _ENDED


class Client:
    """Speaks to the engine at a Unix socket, or to another that takes its place.

    So a request may be made twice; the engines' answers to the same wish are the same.
    """

    def __init__(self, address: str, another: Callable[[Gone], str] | None = None) -> None:
        """Speak to `address`; where nobody answers any more, to that which `another` returns.

        It may raise what it was given instead.
        """
        self._http = _http_at(address)
        self._another = another

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _move(self, gone: Gone) -> None:
        if self._another is None:
            raise gone
        address = self._another(gone)
        self._http.close()
        self._http = _http_at(address)

    def _asking(self, ask: Callable[[httpx.Client], T]) -> T:
        """What `ask` gives, of whoever answers at last."""
        while True:
            try:
                with _translated():
                    return ask(self._http)
            except Gone as gone:
                self._move(gone)

    # --- calls -------------------------------------------------------------------------

    def get(self, path: str, **query: str | int | bool) -> Json:
        """GET.

        Raises:
            Gone: it does not answer.
            UsageError, HubfsError: the engine's own reason.
        """
        return self._ask("GET", path, query)

    def post(self, path: str, body: Json | None = None, **query: bool) -> Json:
        """POST.

        Raises: as `get`.
        """
        return self._ask("POST", path, query, body)

    def delete(self, path: str, **query: str) -> Json:
        """DELETE.

        Raises: as `get`.
        """
        return self._ask("DELETE", path, query)

    def _ask(self, method: str, path: str, query: Json, body: Json | None = None) -> Json:
        answer = self._asking(lambda http: http.request(method, path, params=query, json=body))
        if answer.is_success:
            found: Json = answer.json()
            return found
        raise _error_of(answer)

    # --- shapes ------------------------------------------------------------------------

    def find_repo(self, repo: str, revision: str = "") -> Json | None:
        """A repo with all its files; None if it is not known here."""
        path = f"/v1/hub/models/{quote(repo)}"
        try:
            found = self.get(path, revision=revision)
        except NotThere:
            return None
        while found["next"] is not None:
            page = self.get(path, revision=revision, after=found["next"])
            found["listing"] += page["listing"]
            found["next"] = page["next"]
        return found

    def repos(self, *, cached: bool = False) -> Iterator[Json]:
        """All known repos: models, then datasets, then spaces."""
        for kind in ("models", "datasets", "spaces"):
            after: str | None = ""
            while after is not None:
                page = self.get("/v1/hub/models", kind=kind, after=after, cached=cached, limit=200)
                yield from page["models"]
                after = page["next"]

    def job(self, number: int) -> Json:
        """A job with its log.

        Raises:
            NotThere: there is none of that id.
        """
        return self.get(f"/v1/hub/jobs/{number}")

    @contextlib.contextmanager
    def changes(self) -> Iterator[Iterator[Json]]:
        """What happens to jobs from now on, as it happens.

        It is left, without an exception, where the engine ends and another has taken its place:
        what has happened meanwhile is not told.

        Raises:
            Gone: the engine has ended.
        """
        with contextlib.ExitStack() as stack:
            lines = self._asking(
                lambda http: _begun(stack.enter_context(http.stream("GET", "/v1/hub/events")))
            )
            http = self._http
            try:
                with _translated():
                    yield _jobs_in(lines)
            except Gone as gone:
                if self._http is http:  # no request has found out before
                    self._move(gone)


def _begun(stream: httpx.Response) -> Iterator[str]:
    if not stream.is_success:
        stream.read()
        raise _error_of(stream)
    lines = stream.iter_lines()
    if next(lines, None) is None:  # from here on nothing is missed
        raise Gone("the daemon has ended", hint=_GOES_ON)
    return lines


def _http_at(address: str) -> httpx.Client:
    # Nothing there is encrypted: to load all certificates of the world would take longest.
    # And a connection that is kept for the next request would keep others from theirs.
    limits = httpx.Limits(max_keepalive_connections=0)
    transport = httpx.HTTPTransport(uds=address, verify=False, limits=limits)
    # The socket is the address: no proxy of the environment may stand between.
    return httpx.Client(
        transport=transport, base_url="http://hubfs", timeout=LONGEST_SILENCE, trust_env=False
    )


class NotThere(HubfsError):
    """The engine knows of no such thing."""


class Gone(HubfsError):
    """The engine has ended, or does not answer."""


def _jobs_in(lines: Iterator[str]) -> Iterator[Json]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
    raise Gone("the daemon has ended", hint=_GOES_ON)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise Gone("the daemon does not answer", hint="see its log") from error
    except httpx.HTTPError as error:
        raise Gone("the daemon has ended", hint=_GOES_ON) from error


def _error_of(answer: httpx.Response) -> HubfsError:
    if answer.status_code == 503 and not answer.content:
        return HubfsError("too many commands ask at once", hint="try again when some have ended")
    try:
        problem = answer.json()
        title, hint = str(problem["title"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return HubfsError(f"the daemon answers {answer.status_code}", hint="see its log")
    kinds = {404: NotThere, 422: UsageError}
    return kinds.get(answer.status_code, HubfsError)(title, hint=hint)
