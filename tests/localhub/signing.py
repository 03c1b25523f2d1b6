"""Signed CDN addresses in the manner of CloudFront.

Pure: `now` comes from the caller. A policy is readable by anyone and carries,
besides the real fields, which file of which repo was asked for, so that the
CDN can name it in the log.
"""

import base64
import hashlib
import hmac
import json
from typing import NamedTuple
from urllib.parse import urlencode

_KEY = b"localhub"


class Grant(NamedTuple):
    """What one signed address allows; `serial` counts calls of expire_all."""

    resource: str
    expires: int
    serial: int
    repo: str
    path: str


class BadSignature(Exception):
    """The address is unsigned, altered, or signed for another resource."""


class Expired(Exception):
    """The address was good once."""


class Signer:
    """Signs addresses and checks them."""

    def __init__(self) -> None:
        self._serial = 0

    def expire_all(self) -> None:
        """Make every address signed so far answer 403."""
        self._serial += 1

    def sign(self, resource: str, expires: float, repo: str, path: str) -> str:
        """Return the query string that opens `resource` until `expires`."""
        grant = Grant(resource, int(expires), self._serial, repo, path)
        policy = base64.urlsafe_b64encode(json.dumps(grant).encode()).decode()
        return urlencode(
            {
                "Expires": grant.expires,
                "Policy": policy,
                "Signature": _signature(policy),
                "Key-Pair-Id": "KLOCALHUB",
            }
        )

    def check(self, resource: str, query: dict[str, list[str]], now: float) -> Grant:
        """Return what a signed address allows.

        Raises:
            BadSignature: it was not made by `sign` for this resource.
            Expired: its time is over.
        """
        policy, signature = (query.get(name, [""])[0] for name in ("Policy", "Signature"))
        if not hmac.compare_digest(_signature(policy).encode(), signature.encode()):
            raise BadSignature
        grant = Grant(*json.loads(base64.urlsafe_b64decode(policy)))
        if grant.resource != resource or query.get("Expires") != [str(grant.expires)]:
            raise BadSignature
        if now >= grant.expires or grant.serial < self._serial:
            raise Expired
        return grant


def _signature(policy: str) -> str:
    digest = hmac.new(_KEY, policy.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()
