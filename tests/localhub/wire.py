"""HTTP as values: requests, responses, byte ranges.

Pure. Holds what the protocol means and refuses to know sockets.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, unquote

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """One request as it came; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    version: str = "HTTP/1.1"

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path cut at its slashes, still percent-encoded."""
        return tuple(self.target.partition("?")[0].split("/")[1:])

    @cached_property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    def option(self, name: str) -> str | None:
        """Return the last value of a query parameter."""
        return self.query.get(name, [None])[-1]

    def flag(self, name: str) -> bool:
        """Tell whether a query parameter is on (`true` or `1`)."""
        return (self.option(name) or "").lower() in {"true", "1"}

    def without(self, header: str) -> "Request":
        kept = {name: value for name, value in self.headers.items() if name != header}
        return replace(self, headers=kept)

    @property
    def keeps_alive(self) -> bool:
        wish = self.headers.get("connection", "").lower()
        return "close" not in wish and (self.version == "HTTP/1.1" or "keep-alive" in wish)


class Part(NamedTuple):
    """A stretch of a body: where its bytes are."""

    source: bytes | Path
    start: int
    length: int


class Subject(NamedTuple):
    """The repo and file that a request turned out to be about."""

    repo: str
    path: str | None = None


class Cut(NamedTuple):
    """Where a body is interrupted, and by what; `at` is None before the head."""

    at: int | None
    how: Literal["reset", "fin", "stall"]
    seconds: float | None = 0.0


@dataclass(frozen=True)
class Response:
    """One answer; Content-Length is derived from `parts` unless `chunked`."""

    status: int
    headers: Headers = ()
    parts: tuple[Part, ...] = ()
    subject: Subject | None = None
    is_content: bool = False
    is_chunked: bool = False
    delay: float = 0.0
    cut: Cut | None = None

    @property
    def length(self) -> int:
        return sum(part.length for part in self.parts)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[-1] if found else None

    def with_headers(self, *headers: tuple[str, str]) -> "Response":
        """Return the response with these headers set, replacing namesakes."""
        names = {name.lower() for name, _ in headers}
        kept = tuple(item for item in self.headers if item[0].lower() not in names)
        return replace(self, headers=kept + headers)

    def head(self, *, keep_alive: bool) -> bytes:
        """Render status line and headers."""
        phrase = HTTPStatus(self.status).phrase
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(self._framing())
        if not keep_alive:
            lines.append("Connection: close")
        return ("\r\n".join(filter(None, lines)) + "\r\n\r\n").encode("latin-1", "replace")

    def _framing(self) -> str:
        if self.status == 304:
            return ""
        return "Transfer-Encoding: chunked" if self.is_chunked else f"Content-Length: {self.length}"


def to_json(data: object) -> bytes:
    """Render JSON as the Hub does: compact, in UTF-8."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def whole(data: bytes) -> tuple[Part, ...]:
    """Return bytes as a body."""
    return (Part(data, 0, len(data)),) if data else ()


def clip(parts: tuple[Part, ...], start: int, stop: int) -> tuple[Part, ...]:
    """Return the stretch of a body from `start` up to `stop`."""
    kept, position = [], 0
    for part in parts:
        first, last = max(start - position, 0), min(stop - position, part.length)
        if first < last:
            kept.append(Part(part.source, part.start + first, last - first))
        position += part.length
    return tuple(kept)


def read_parts(parts: tuple[Part, ...]) -> bytes:
    """Return a body's bytes; meant for small ones."""
    return b"".join(map(_read_part, parts))


def _read_part(part: Part) -> bytes:
    if isinstance(part.source, bytes):
        return part.source[part.start : part.start + part.length]
    with part.source.open("rb") as file:
        file.seek(part.start)
        return file.read(part.length)


class Unsatisfiable(Exception):
    """The range begins at or past the end."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the asked (start, stop), or None when the whole is to be sent.

    A header that is no single byte range is ignored, as RFC 9110 allows.

    Raises:
        Unsatisfiable: the range begins at or past `size`.
    """
    unit, _, spec = (header or "").partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if not first:
        return _bounded(max(size - int(last), 0), size, size if int(last) else 0)
    if last and int(last) < int(first):
        return None
    return _bounded(int(first), min(int(last) + 1, size) if last else size, size)


def _bounded(start: int, stop: int, size: int) -> tuple[int, int]:
    if start >= size:
        raise Unsatisfiable
    return start, stop


def parse_head(head: bytes) -> Request:
    """Read request line and headers, up to but without the empty line.

    Raises:
        ValueError: this is no HTTP.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if target.startswith("http://"):  # the absolute form, as sent to proxies
        target = "/" + target.split("/", 3)[3]
    return Request(method, target, headers, b"", version)
