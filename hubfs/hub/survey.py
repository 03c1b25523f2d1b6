"""What can be learnt of an endpoint in a few requests, by the same means as every other request."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from hubfs.errors import BadToken, HubError, NotOnHub, ProtocolViolation, RateLimited, UsageError
from hubfs.hub import answers, urls
from hubfs.hub.credentials import Credentials, token_place
from hubfs.hub.dialing import places_of
from hubfs.hub.metadata import Answer, MetadataClient
from hubfs.hub.pace import API, Breaker, RateLimits
from hubfs.hub.proxies import Proxies

_PATIENCE = 6.0
_IDLE = 5.0
_QUOTA = re.compile(r'"api"\s*;\s*q=(\d{1,9})')


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """Of an endpoint. `error` is why it does not answer, empty if it does; times in seconds.

    `skew` is how far its clock is ahead of ours. `left` of `quota` requests may
    be made within the `reset` seconds to come; None where it does not say.
    `lists_nothing`: it knows no list of repos, which some mirrors do without.
    """

    endpoint: str
    error: str = ""
    hint: str = ""
    is_hub: bool = False
    lists_nothing: bool = False
    is_limited: bool = False
    is_token_refused: bool = False
    latency: float = 0.0
    skew: float | None = None
    left: int | None = None
    quota: int | None = None
    reset: float = 0.0


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Of the token: where it is, and whose it is. `error` is why that cannot be said."""

    place: str
    is_usable: bool
    is_refused: bool = False
    account: str = ""
    role: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class WayFacts:
    """Of the way to an endpoint: its addresses, or why there are none; and who stands between."""

    host: str
    addresses: int = 0
    error: str = ""
    proxy: str = ""
    proxy_error: str = ""
    is_encrypted: bool = False
    certificates: str = ""


def survey_way(endpoint: str) -> WayFacts:
    """Look up the first hop. May block for long: nothing can end the system's resolver."""
    parts = urlsplit(endpoint)
    facts = WayFacts(
        parts.hostname or "",
        is_encrypted=parts.scheme == "https",
        certificates=os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "",
    )
    try:
        proxy = Proxies().find(endpoint)
    except UsageError as error:
        return replace(facts, proxy_error=str(error))
    hop = proxy or parts
    if proxy is not None:
        facts = replace(facts, proxy=urls.host_of(proxy.geturl()))
    try:
        found = places_of(hop.hostname or "", urls.port_of(hop))
    except OSError as error:
        return replace(facts, error=error.strerror or str(error))
    return replace(facts, addresses=len(found))


async def survey_endpoint(endpoint: str, file: Path | None = None) -> EndpointFacts:
    """Ask for one repo of the list, twice: the second answer's time is that of a warm connection.

    The token is that in `file`, if one is named.

    Raises:
        UsageError: the environment names a proxy or certificates that are no use.
    """
    client = _client(endpoint, Credentials(endpoint, file=file))
    url = f"{urls.author_url(endpoint, 'models')}?limit=1"
    try:
        await client.get(url, "the list of repos", _PATIENCE)
        started = time.monotonic()
        answer = await client.get(url, "the list of repos", _PATIENCE)
    except RateLimited as error:
        return EndpointFacts(endpoint, is_limited=True, left=0, reset=error.retry_after)
    except ProtocolViolation as error:
        return EndpointFacts(endpoint, str(error), "is HF_ENDPOINT the address of a Hub?")
    except HubError as error:
        return EndpointFacts(endpoint, str(error), error.hint)
    finally:
        await client.close()
    return endpoint_facts(endpoint, answer, time.monotonic() - started, time.time())


def endpoint_facts(endpoint: str, answer: Answer, latency: float, now: float) -> EndpointFacts:
    """What an answer to a question for repos says. Pure."""
    states = {state.bucket: state for state in answers.rate_states(answer.headers)}
    rate = states.get(API)
    is_silent = answer.refusal is None and answer.content is None  # as some mirrors are
    policy = _QUOTA.search(answer.headers.get("ratelimit-policy", ""))
    return EndpointFacts(
        endpoint,
        is_hub=isinstance(answer.content, list),
        lists_nothing=is_silent or isinstance(answer.refusal, NotOnHub),
        is_token_refused=isinstance(answer.refusal, BadToken),
        latency=latency,
        skew=skew_of(answer.headers, now),
        left=rate.left if rate else None,
        quota=int(policy[1]) if policy else None,
        reset=rate.reset if rate else 0.0,
    )


def skew_of(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the clock that dated an answer is ahead of `now`. Pure."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None


async def survey_token(endpoint: str, file: Path | None = None) -> TokenFacts:
    """Ask whose the token is that would be sent: that in `file`, if one is named.

    Raises:
        UsageError: the environment names a proxy or certificates that are no use.
    """
    place = token_place(os.environ, file)
    credentials = Credentials(endpoint, file=file)
    if not credentials.headers_for(endpoint):
        return TokenFacts(place, is_usable=False)
    client = _client(endpoint, credentials)
    try:
        answer = await client.get(f"{endpoint}/api/whoami-v2", "the token's owner", _PATIENCE)
    except HubError as error:
        return TokenFacts(place, is_usable=True, error=str(error))
    finally:
        await client.close()
    return token_facts(place, answer)


def token_facts(place: str, answer: Answer) -> TokenFacts:
    """What an answer to the question who we are says. Pure."""
    if answer.status in {401, 403}:
        return TokenFacts(place, is_usable=True, is_refused=True)
    fields = answer.content if isinstance(answer.content, dict) else {}
    name, auth = fields.get("name"), fields.get("auth")
    if answer.refusal is not None or not isinstance(name, str):
        return TokenFacts(place, is_usable=True, error="the endpoint does not say whose it is")
    used = auth.get("accessToken") if isinstance(auth, dict) else None
    role = used.get("role") if isinstance(used, dict) else None
    return TokenFacts(place, is_usable=True, account=_word(name), role=_word(role))


def _word(text: object) -> str:
    return (
        "".join(each for each in text[:80] if each.isprintable()) if isinstance(text, str) else ""
    )


def _client(endpoint: str, credentials: Credentials) -> MetadataClient:
    return MetadataClient(
        endpoint,
        credentials,
        limits=RateLimits(),
        breaker=Breaker(),
        idle_timeout=_IDLE,
        offline=False,
    )
