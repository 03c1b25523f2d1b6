"""What an endpoint's answers mean for who reads from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hubfs.daemon.diagnosis.verdicts import Verdict, fine, noted, wrong
from hubfs.hub.metadata import ASK_THE_DOCTOR
from hubfs.hub.survey import EndpointFacts, TokenFacts, WayFacts
from hubfs.model.units import counted

FAR: Final = 1.0
SKEWED: Final = 60.0
FEW_LEFT: Final = 0.1
_LOGIN: Final = "set HF_TOKEN, or log in with `hf auth login`"


def judge_way(facts: WayFacts) -> Iterator[Verdict]:
    """Names, proxies and encryption on the way to the endpoint."""
    if facts.proxy_error:
        advice = "a proxy looks like http://user:password@proxy.example:3128"
        yield wrong("proxy", facts.proxy_error, advice)
        return
    yield fine("proxy", facts.proxy or "none")
    name = facts.proxy or facts.host
    if facts.error:
        yield wrong(
            "name", f"{name} is not found: {facts.error}", "look at the endpoint, and at DNS"
        )
    else:
        yield fine("name", f"{name} has {counted(facts.addresses, 'address', 'addresses')}")
    if facts.is_encrypted:
        by = facts.certificates or "the public authorities"
        yield fine("certificates", f"trusted are those of {by}")
    else:
        yield from _judge_plain(facts.host)


def _judge_plain(host: str) -> Iterator[Verdict]:
    if host == "localhost" or host.startswith("127.") or host == "::1":
        yield fine("certificates", "none needed: the endpoint is this machine")
    else:
        text = "the endpoint is http: tokens and file lists pass in the clear"
        yield noted("certificates", text, "use https")


def judge_endpoint(facts: EndpointFacts) -> Iterator[Verdict]:
    """Whether it is a Hub, how far away it is, its clock and its rate limit."""
    if facts.error:
        hint = facts.hint if facts.hint != ASK_THE_DOCTOR else ""
        advice = hint or "look at the network, HF_ENDPOINT, HTTPS_PROXY and SSL_CERT_FILE"
        yield wrong("endpoint", facts.error, advice)
        return
    if facts.is_limited:
        advice = f"wait {facts.reset:.0f} s, or use a token: accounts may ask more than others"
        yield noted("endpoint", f"{facts.endpoint} answers: its rate limit is reached", advice)
        return
    if facts.lists_nothing:
        advice = "some mirrors do without; else look at HF_ENDPOINT"
        yield noted("endpoint", f"{facts.endpoint} answers, but lists no repos", advice)
    elif not facts.is_hub and not facts.is_token_refused:
        text = f"{facts.endpoint} answers, but not as a Hub does"
        yield wrong("endpoint", text, "look at HF_ENDPOINT")
        return
    else:
        yield from _judge_latency(facts)
    yield from _judge_clock(facts.skew)
    yield from _judge_rate(facts)


def _judge_latency(facts: EndpointFacts) -> Iterator[Verdict]:
    text = f"{facts.endpoint} answers in {facts.latency * 1000:.0f} ms"
    if facts.latency > FAR:
        yield noted("endpoint", text, "names are slow to appear; a mirror nearby may help")
    else:
        yield fine("endpoint", text)


def _judge_clock(skew: float | None) -> Iterator[Verdict]:
    if skew is None:
        return
    if abs(skew) > SKEWED:
        side = "behind" if skew > 0 else "ahead of"
        text = f"{abs(skew):.0f} s {side} the Hub's"
        yield noted("clock", text, "set it (NTP): signed addresses may look as if they had ended")
    else:
        yield fine("clock", "agrees with the Hub's")


def _judge_rate(facts: EndpointFacts) -> Iterator[Verdict]:
    if facts.left is None:
        yield fine("rate limit", "none is told")
        return
    of = f" of {facts.quota}" if facts.quota else ""
    text = f"{facts.left}{of} requests left for {facts.reset:.0f} s"
    if facts.left <= FEW_LEFT * (facts.quota or 0):
        advice = "wait, or use a token: accounts may ask more than others"
        yield noted("rate limit", text, advice)
    else:
        yield fine("rate limit", text)


def judge_token(facts: TokenFacts) -> Iterator[Verdict]:
    """Whose it is, or why it is no use."""
    place = f"from {facts.place}" if facts.place else "found by huggingface_hub"
    if not facts.is_usable and facts.place:
        yield wrong("token", f"what is in {facts.place} can be no token", _LOGIN)
    elif not facts.is_usable:
        yield noted("token", "none: private and gated repos stay closed", _LOGIN)
    elif facts.is_refused:
        yield wrong("token", f"{place}: the endpoint refuses it", _LOGIN)
    elif facts.error:
        yield noted(
            "token", f"{place}, but {facts.error}", "the line about the endpoint may say more"
        )
    else:
        role = f", {facts.role}" if facts.role else ""
        yield fine("token", f"{place}, of {facts.account}{role}")
