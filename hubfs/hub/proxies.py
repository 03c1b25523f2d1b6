"""The proxies that the environment names, by the rules of curl and urllib. Pure but for it."""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from hubfs.errors import UsageError
from hubfs.hub.urls import host_of


class Proxies:
    """What the environment says of proxies at the time this is made."""

    def __init__(self) -> None:
        self._named = getproxies_environment()

    def find(self, url: str) -> SplitResult | None:
        """The proxy for `url`; None for none.

        Raises:
            UsageError: it is none that hubfs can speak to.
        """
        if not self._named:
            return None
        scheme = urlsplit(url).scheme
        named = self._named.get(scheme) or self._named.get("all")
        if not named or proxy_bypass_environment(host_of(url), self._named):
            return None
        try:
            proxy = urlsplit(named if "://" in named else f"http://{named}")
            is_usable = proxy.scheme == "http" and bool(proxy.hostname) and proxy.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            hint = "a proxy looks like http://user:password@proxy.example:3128"
            text = f"the proxy that the environment names for {scheme} is no use"
            raise UsageError(text, hint=hint)
        return proxy


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """What the proxy wants to see of the credentials in its address."""
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"proxy-authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
