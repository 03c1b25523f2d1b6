"""Who may come in by TCP, and how much anyone may say. A layer around the application.

The Unix socket is guarded by its permissions. By TCP, the `Host` must be one of
this machine's names (a page of another site that resolves to this address is
turned away), a request that changes anything must not come from another site,
and beyond loopback every request needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from hubfs.control.serving import LARGEST_BODY, Application, Message, Receive, Send
from hubfs.errors import UsageError

_OPEN: Final = frozenset({"/", "/healthz"})  # nothing in them is anyone's secret
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned away."""

    status: int
    title: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TcpRules:
    """Who may come in at `host`."""

    host: str
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check that whoever is let in can be told from others.

        Raises:
            UsageError: others than this machine could come in, without a token.
        """
        if not self.token and not is_loopback(self.host):
            hint = "set HUBFS_HTTP_TOKEN, or listen at 127.0.0.1"
            raise UsageError(f"listening at {self.host} needs a token", hint=hint)

    def find_refusal(
        self, method: str, path: str, headers: Mapping[bytes, bytes]
    ) -> Refusal | None:
        """Why a request must be turned away, if it must."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(host):
            return Refusal(421, "this is not the server that was asked for", "ask by its address")
        if method not in _SAFE and _is_foreign(headers, host):
            return Refusal(403, "requests from other sites change nothing here")
        if path not in _OPEN and self.token and not self._has_token(headers):
            return Refusal(401, "a token is needed", "send: Authorization: Bearer TOKEN")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in _LOCAL_NAMES or name in {self.host, socket.gethostname().lower()}:
            return True
        # An address cannot be made to resolve to something else; from afar, any of ours is good.
        return is_loopback(name) if is_loopback(self.host) else _is_address(name)

    def _has_token(self, headers: Mapping[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        is_right = hmac.compare_digest(given.strip(), self.token.encode())
        return scheme.lower() == b"bearer" and is_right


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_foreign(headers: Mapping[bytes, bytes], host: str) -> bool:
    """Whether a browser says that the request comes from a page of another origin."""
    if headers.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}:
        return True
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin.decode("latin-1")).netloc != host


def guarded(application: Application, rules: TcpRules | None) -> Application:
    """`application` behind the rules, with bounded bodies."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        refusal = rules and rules.find_refusal(scope["method"], scope["path"], headers)
        refusal = refusal or _find_too_large(headers)
        if refusal:
            await _answer(send, refusal)
        else:
            await application(scope, _bounded(receive), send)

    return guard


def _find_too_large(headers: Mapping[bytes, bytes]) -> Refusal | None:
    if int(headers.get(b"content-length", b"0")) > LARGEST_BODY:
        return Refusal(413, "the request is too large")
    return None


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        # A body of unknown length that does not end: the client is as good as gone.
        return message if taken <= LARGEST_BODY else {"type": "http.disconnect"}

    return take


async def _answer(send: Send, refusal: Refusal) -> None:
    body = json.dumps(
        {"title": refusal.title, "status": refusal.status, "hint": refusal.hint}
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
