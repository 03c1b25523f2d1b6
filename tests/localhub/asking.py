"""An HTTP client that does nothing on its own: no redirects, no retries, no decoding."""

import ssl
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit


class Answer(NamedTuple):
    """What came back for one request."""

    url: str
    status: int
    headers: Message
    body: bytes

    @property
    def location(self) -> str:
        return urljoin(self.url, str(self.headers["Location"]))


def ask(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    ca_file: Path | None = None,
) -> Answer:
    """Send one request on a connection of its own."""
    parts = urlsplit(url)
    connection = (
        HTTPSConnection(parts.netloc, context=ssl.create_default_context(cafile=ca_file))
        if parts.scheme == "https"
        else HTTPConnection(parts.netloc)
    )
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(url, response.status, response.headers, response.read())
    finally:
        connection.close()


def follow(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    """Ask, and ask again where a redirect leads, with the same headers."""
    answer = ask(url, method, headers)
    while answer.status in {302, 307}:
        answer = ask(answer.location, method, headers)
    return answer
