"""Scripted faults: what goes wrong, for which requests, how often.

Applying a fault is pure: it turns a right answer into a wrong one. The
connection then delivers it, wrongness included.
"""

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from tests.localhub.answers import gzipped
from tests.localhub.log import OriginName
from tests.localhub.refusals import expired_signature
from tests.localhub.wire import (
    Cut,
    Request,
    Response,
    clip,
    read_parts,
    whole,
)

Action = Literal[
    "reset_after",
    "stall_after",
    "short_body",
    "status",
    "ignore_range",
    "wrong_content_range",
    "wrong_total",
    "gzip",
    "corrupt",
    "expired",
    "redirect_loop",
    "slow_headers",
    "close_before_answer",
]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, `times` times (None: always).

    It concerns requests that match all of `origin`, `method`, `path` (a glob, tried
    on the URL's decoded path, on `repo/file` and on the file's path) and `range` (a
    glob on the Range header). Faults of the body wait for a 200 or 206 with a body,
    faults of a range for a 206, so redirects and HEADs do not use them up.

    reset_after          RST after `at` bytes of body
    stall_after          silence of `seconds` (None: for ever) after `at` bytes, then the rest
    short_body           right Content-Length, `at` bytes, FIN
    status               answer `status` with `headers` (429: add RateLimit or Retry-After)
    ignore_range         200 with everything
    wrong_content_range  the range named in the header is shifted by `at` (or 1)
    wrong_total          the total in Content-Range is too large by `at` (or 1)
    gzip                 gzipped and chunked, whatever was asked for
    corrupt              the byte at `at` is flipped
    expired              403 as for an expired signature
    redirect_loop        302 to the same address
    slow_headers         `seconds` of silence before the head
    close_before_answer  the connection ends without an answer
    """

    action: Action
    at: int = 0
    seconds: float | None = 0.0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    origin: OriginName | None = None
    method: str | None = None
    path: str | None = None
    range: str | None = None
    times: int | None = 1

    def concerns(self, origin: OriginName, request: Request, response: Response) -> bool:
        """Tell whether this fault strikes this answer."""
        return (
            self.origin in {None, origin}
            and self.method in {None, request.method}
            and (self.range is None or fnmatchcase(request.headers.get("range", ""), self.range))
            and (
                self.path is None
                or any(fnmatchcase(n, self.path) for n in _names(request, response))
            )
            and _is_ready(self.action, request, response)
        )

    def applied(self, request: Request, response: Response) -> Response:
        """Return the answer that goes out instead."""
        return _EFFECTS[self.action](self, request, response)


class Faults:
    """The faults still to come, in order of addition; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, float]] = []

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._waiting += [
                (fault, math.inf if fault.times is None else fault.times) for fault in faults
            ]

    def clear(self) -> None:
        with self._lock:
            self._waiting = []

    @property
    def waiting(self) -> list[Fault]:
        """The faults that are not used up."""
        return [fault for fault, _ in self._waiting]

    def take(self, origin: OriginName, request: Request, response: Response) -> Fault | None:
        """Use up one turn of the first fault that concerns this answer."""
        with self._lock:
            for number, (fault, left) in enumerate(self._waiting):
                if fault.concerns(origin, request, response):
                    self._waiting[number : number + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None


def _names(request: Request, response: Response) -> Iterable[str]:
    yield request.path
    if response.subject and response.subject.path:
        yield response.subject.path
        yield f"{response.subject.repo}/{response.subject.path}"


def _is_ready(action: Action, request: Request, response: Response) -> bool:
    if action in {"wrong_content_range", "wrong_total"}:
        return response.status == 206
    if action in {"reset_after", "stall_after", "short_body", "gzip", "corrupt"}:
        return request.method != "HEAD" and response.status in {200, 206} and response.length > 0
    return action != "ignore_range" or "range" in request.headers


def _cut(how: Literal["reset", "fin", "stall"]) -> "_Effect":
    return lambda fault, _, response: replace(response, cut=Cut(fault.at, how, fault.seconds))


def _status(fault: Fault, _: Request, response: Response) -> Response:
    # What the Hub says on every answer it says on its errors too.
    kept = tuple(item for item in response.headers if item[0].startswith(("RateLimit", "X-Re")))
    body = f'{{"error":"scripted {fault.status}"}}'.encode()
    answer = Response(fault.status, kept, whole(body), response.subject)
    return answer.with_headers(("Content-Type", "application/json"), *fault.headers.items())


def _shift_range(fault: Fault, _: Request, response: Response) -> Response:
    first, last, total = _content_range(response)
    by = fault.at or 1
    return response.with_headers(("Content-Range", f"bytes {first + by}-{last + by}/{total}"))


def _wrong_total(fault: Fault, _: Request, response: Response) -> Response:
    first, last, total = _content_range(response)
    return response.with_headers(
        ("Content-Range", f"bytes {first}-{last}/{total + (fault.at or 1)}")
    )


def _content_range(response: Response) -> tuple[int, int, int]:
    span, _, total = (response.header("Content-Range") or "").removeprefix("bytes ").partition("/")
    first, _, last = span.partition("-")
    return int(first), int(last), int(total)


def _corrupt(fault: Fault, _: Request, response: Response) -> Response:
    at = min(fault.at, response.length - 1)
    flipped = bytes([read_parts(clip(response.parts, at, at + 1))[0] ^ 0xFF])
    before, after = clip(response.parts, 0, at), clip(response.parts, at + 1, response.length)
    return replace(response, parts=before + whole(flipped) + after)


def _redirect_loop(_: Fault, request: Request, response: Response) -> Response:
    return Response(302, (("Location", request.target),), subject=response.subject)


_Effect = Callable[[Fault, Request, Response], Response]
_EFFECTS: Mapping[Action, _Effect] = {
    "reset_after": _cut("reset"),
    "stall_after": _cut("stall"),
    "short_body": _cut("fin"),
    "status": _status,
    # The connection asks its origin again, without the range.
    "ignore_range": lambda _, __, response: response,
    "wrong_content_range": _shift_range,
    "wrong_total": _wrong_total,
    "gzip": lambda _, __, response: gzipped(response),
    "corrupt": _corrupt,
    "expired": lambda _, __, response: replace(expired_signature(), subject=response.subject),
    "redirect_loop": _redirect_loop,
    "slow_headers": lambda fault, _, response: replace(
        response, delay=math.inf if fault.seconds is None else fault.seconds
    ),
    "close_before_answer": lambda _, __, response: replace(response, cut=Cut(None, "fin")),
}
