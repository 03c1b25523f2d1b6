"""The user's token: found where huggingface_hub finds it, given to the endpoint's origin only."""

from __future__ import annotations

from huggingface_hub import get_token

from hubfs.hub.urls import origin_of


class Credentials:
    """Decides which requests carry the token. The token is read anew each time it may change."""

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        """Serve `endpoint`; `token` overrides what huggingface_hub would find."""
        self._origin = origin_of(endpoint)
        self._given = token
        self._token = token or get_token()

    @property
    def is_anonymous(self) -> bool:
        """Whether there is no token at all."""
        return not self._token

    def refresh(self) -> bool:
        """Look for the token again, as after a login; return whether it changed."""
        before, self._token = self._token, self._given or get_token()
        return before != self._token

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers that authorize a request to `url`: none for any other origin."""
        if not self._token or origin_of(url) != self._origin:
            return {}
        return {"authorization": f"Bearer {self._token}"}

    def __repr__(self) -> str:
        return f"<credentials for {self._origin[1]}>"
