"""The user's token: found where huggingface_hub finds it, given to the endpoint's origin only."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from huggingface_hub import constants, get_token

from hubfs.hub.urls import origin_of

log = logging.getLogger(__name__)


class Credentials:
    """Decides which requests carry the token. Thread-safe.

    The token is looked for when a request may first carry it, and again when
    it has been refused: finding it may read files and ask an identity provider.
    """

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        """Serve `endpoint`; `token` overrides what huggingface_hub would find."""
        self._origin = origin_of(endpoint)
        self._given = token
        self._token: str | None = None
        self._is_known = False

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers that authorize a request to `url`: none for any other origin. May block."""
        if origin_of(url) != self._origin:
            return {}
        if not self._is_known:
            self._look()
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    def has_other_than(self, refused: Mapping[str, str]) -> bool:
        """Look for the token again, as after a login; whether it is not that of `refused`.

        May block.
        """
        self._look()
        return bool(self._token) and refused.get("authorization") != f"Bearer {self._token}"

    def _look(self) -> None:
        self._token, self._is_known = _usable(self._given or _found()), True

    def __repr__(self) -> str:
        return f"<credentials for {self._origin[1]}>"


def _found() -> str | None:
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return None
    try:
        return get_token()
    except Exception as error:  # noqa: BLE001 - whatever files and identity providers bring
        log.warning("no token is used, since it could not be read: %s", type(error).__name__)
        return None


def _usable(token: str | None) -> str | None:
    """`token` if a header can hold it."""
    token = (token or "").strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        log.warning("the token has characters that no token has; it is not used")
        return None
    return token or None
