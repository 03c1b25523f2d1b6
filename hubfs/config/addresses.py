"""Addresses that people give: of a Hub, and to listen at. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from hubfs.errors import UsageError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")


def checked_endpoint(text: str) -> str:
    """`text` as an endpoint without a trailing slash.

    Raises:
        UsageError: it is not an http or https address.
    """
    try:
        parts = urlsplit(text)
        is_address = text.isascii() and text.isprintable() and has_place(parts)
    except ValueError:
        is_address = False
    if not is_address or " " in text or parts.query or parts.fragment:
        hint = "an endpoint looks like https://huggingface.co"
        raise UsageError(f"not an endpoint: {text!r}", hint=hint)
    if parts.username or parts.password:
        hint = "give the token in HF_TOKEN or with `hf auth login`"
        raise UsageError("an endpoint must not contain credentials", hint=hint)
    return text.rstrip("/")


def checked_webhook(text: str) -> str:
    """`text` as an address that is told of jobs; an empty one stands for none.

    Raises:
        UsageError: it is none. The sentence does not repeat it: the address may be a secret.
    """
    if not text:
        return text
    hint = "a webhook looks like https://ci.example/told"
    try:
        parts = urlsplit(text)
        is_address = text.isascii() and text.isprintable() and has_place(parts)
    except ValueError:
        is_address = False
    if not is_address or " " in text:
        raise UsageError("not an http or https address", hint=hint)
    if parts.username or parts.password:
        raise UsageError("an address that is told of jobs must hold no credentials", hint=hint)
    return text


def has_place(parts: SplitResult) -> bool:
    """Whether an address names a scheme that is spoken here, a host and a port.

    Raises:
        ValueError: its port or its IPv6 address is none.
    """
    host = (parts.hostname or "").lower()
    if ":" not in host:
        is_host = bool(_HOST_NAME.fullmatch(host))
    else:
        is_host = not ipaddress.IPv6Address(host).scope_id
    return is_host and parts.scheme in DEFAULT_PORTS and parts.port != 0


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[::1]:PORT` or `:PORT` (this machine alone) as host and port.

    Raises:
        UsageError: it is none of them.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"not an address: {text!r}", hint="give HOST:PORT, such as 127.0.0.1:8711")
    return host, int(port)
