"""The user's token: found where huggingface_hub finds it, given to the endpoint's origin only.

huggingface_hub is loaded when a token is first looked for: a mount that asks
nobody anything, because all is known, is there sooner without it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from hubfs.hub.urls import origin_of

log = logging.getLogger(__name__)

_Version = tuple[int, ...]


class Credentials:
    """Decides which requests carry the token. Thread-safe.

    The token is looked for when a request may first carry it, again when the file
    that holds it has changed, and again when it has been refused: finding it may
    read files and ask an identity provider.
    """

    def __init__(
        self, endpoint: str, token: str | None = None, *, file: Path | None = None
    ) -> None:
        """Serve `endpoint`; `token`, or that in `file`, overrides what huggingface_hub finds."""
        self._origin = origin_of(endpoint)
        self._given = token
        self._file = file
        self._token: str | None = None
        self._seen: _Version | None = None

    def use_file(self, file: Path | None) -> None:
        """From now on, take the token from `file`, or from where huggingface_hub finds it."""
        self._file, self._seen = file, None

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers that authorize a request to `url`: none for any other origin. May block."""
        if origin_of(url) != self._origin:
            return {}
        if self._seen is None or self._seen != _version_of(self._watched):
            self._look()
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    def has_other_than(self, refused: Mapping[str, str]) -> bool:
        """Look for the token again, as after a login; whether it is not that of `refused`.

        May block.
        """
        self._look()
        return bool(self._token) and refused.get("authorization") != f"Bearer {self._token}"

    @property
    def _watched(self) -> Path:
        from huggingface_hub import constants  # noqa: PLC0415 - see above

        return self._file or Path(constants.HF_TOKEN_PATH)

    def _look(self) -> None:
        seen = _version_of(self._watched)  # before it is read: what is written meanwhile is news
        self._token = _usable(self._given or _found(self._file))
        self._seen = seen

    def __repr__(self) -> str:
        return f"<credentials for {self._origin[1]}>"


def token_place(environment: Mapping[str, str], file: Path | None = None) -> str:
    """The file, or the variable, that `Credentials` with `file` take the token from.

    Empty if huggingface_hub, which is asked without a `file`, has none to take.
    """
    from huggingface_hub import constants  # noqa: PLC0415 - see above

    if file is not None:
        return str(file)
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return ""
    if environment.get("HF_OIDC_RESOURCE"):
        return "HF_OIDC_RESOURCE"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if environment.get(name, "").strip():
            return name
    return constants.HF_TOKEN_PATH if Path(constants.HF_TOKEN_PATH).is_file() else ""


def _version_of(file: Path) -> _Version:
    """What changes when a file does."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _found(file: Path | None) -> str | None:
    from huggingface_hub import constants, get_token  # noqa: PLC0415 - see above

    if file is None and constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return None
    try:
        return get_token() if file is None else file.read_text()
    except Exception as error:  # noqa: BLE001 - whatever files and identity providers bring
        where = f"from {file}" if file else "where huggingface_hub has it"
        log.warning("no token is used: it could not be read %s: %s", where, type(error).__name__)
        return None


def _usable(token: str | None) -> str | None:
    """`token` if a header can hold it."""
    token = (token or "").strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        log.warning("the token has characters that no token has; it is not used")
        return None
    return token or None
