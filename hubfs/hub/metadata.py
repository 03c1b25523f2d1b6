"""One request for metadata: sent, followed, bounded, and retried while it may help.

Redirects are followed by hand: the token goes with them only as long as they
stay at the endpoint's origin.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import NamedTuple, TypeVar

import httpx
import trio

from hubfs.errors import (
    HubError,
    HubUnreachable,
    NoConnection,
    Offline,
    ProtocolViolation,
    RateLimited,
    TransientHubError,
)
from hubfs.hub import answers, urls
from hubfs.hub.bodies import Body
from hubfs.hub.credentials import Credentials
from hubfs.hub.pace import API, Breaker, RateLimits, backoff
from hubfs.hub.proxies import Proxies
from hubfs.hub.tally import count_answer
from hubfs.hub.tls import tls_context

log = logging.getLogger(__name__)

LARGEST_ANSWER = 32 << 20
LARGEST_REFUSAL = 64 << 10
LONGEST_CHAIN = 5
PROMPT = 10.0  # seconds in which a Hub that is well connects, and answers what is small
USER_AGENT = "hubfs/0.1.0"
# To have waited for a connection that others use says nothing of the Hub.
_SILENCES = (httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout, trio.TooSlowError)
ASK_THE_DOCTOR = "look at the network, and at the endpoint: hubfs doctor"
_SENT = {"user-agent": USER_AGENT, "accept-encoding": "gzip"}

_Taken = TypeVar("_Taken")
_Made = TypeVar("_Made")


class Answer(NamedTuple):
    """What the Hub had to say: a refusal or a content, None for none. `size` in bytes of JSON."""

    status: int
    headers: httpx.Headers
    content: object = None
    size: int = 0
    refusal: HubError | None = None

    def checked(self) -> object:
        """The content.

        Raises:
            HubError: the refusal.
        """
        if self.refusal is not None:
            raise self.refusal
        return self.content


class _Question(NamedTuple):
    """What is asked, and the seconds for which whoever asks has patience."""

    url: str
    subject: str
    patience: float


class MetadataClient:
    """All requests for metadata to one endpoint; many at once."""

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        limits: RateLimits,
        breaker: Breaker,
        idle_timeout: float,
        offline: bool,
    ) -> None:
        """Speak to `endpoint`; when `offline`, refuse every request.

        Raises:
            UsageError: the environment names a proxy or certificates that are no use.
        """
        self._endpoint = endpoint
        self._credentials = credentials
        self._limits = limits
        self._breaker = breaker
        self._idle_timeout = idle_timeout
        self._transport = None if offline else _transport(endpoint)

    async def close(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            with trio.move_on_after(1, shield=True):
                await self._transport.aclose()

    async def get(self, url: str, subject: str, patience: float) -> Answer:
        """The Hub's answer, be it a refusal; what may pass is retried.

        Raises:
            TransientHubError: it has not passed.
            Offline: hubfs makes no requests.
        """
        if self._transport is None:
            raise Offline(f"{subject}: the Hub is not asked, since hubfs is offline")
        question = _Question(url, subject, patience)
        deadline = trio.current_time() + patience
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(self._transport, question)
            except TransientHubError as error:
                wait = max(backoff(attempt), self._limits.wait(API, time.monotonic()))
                if trio.current_time() + wait > deadline or self._is_hopeless(attempt, error):
                    raise
                log.info("%s; trying again in %.1f s", error, wait)
                await trio.sleep(wait)

    def _is_hopeless(self, attempt: int, error: TransientHubError) -> bool:
        # Somebody waits in a path lookup, holding a directory: a dead Hub must not hold it long.
        tired = attempt >= 3 or self._breaker.is_open(time.monotonic())
        return tired and not isinstance(error, RateLimited)

    async def _attempt(self, transport: httpx.AsyncHTTPTransport, question: _Question) -> Answer:
        subject = question.subject
        wait = self._limits.wait(API, time.monotonic())
        if wait:
            raise RateLimited(f"{subject}: the Hub's rate limit is reached", retry_after=wait)
        if not self._breaker.admits(time.monotonic()):
            kind = NoConnection if self._breaker.lacks_connection else HubUnreachable
            raise kind(f"{subject}: {self._breaker.reason}", hint=ASK_THE_DOCTOR)
        try:
            # A server that sends a byte now and then never meets the timeouts of single steps.
            with trio.fail_after(max(question.patience, self._idle_timeout)):
                answer = await self._ask(transport, question)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, trio.TooSlowError) as error:
            reason = f"{urls.host_of(self._endpoint)} cannot be reached: {_reason(error)}"
            is_silence = isinstance(error, _SILENCES)
            is_cut_off = isinstance(error, httpx.ConnectError)
            self._breaker.note_failure(
                time.monotonic(), reason, is_silence=is_silence, lacks_connection=is_cut_off
            )
            if is_cut_off:
                raise NoConnection(f"{subject}: {reason}", hint=ASK_THE_DOCTOR) from error
            raise HubUnreachable(f"{subject}: {reason}") from error
        self._breaker.note_success()
        self._note_rate(answer)
        if isinstance(answer.refusal, TransientHubError):
            raise answer.refusal
        return answer

    async def _ask(self, transport: httpx.AsyncHTTPTransport, question: _Question) -> Answer:
        sent = await self._authorization(question.url)
        answer = await self._follow(transport, question, sent)
        if answer.status == 401 and await _in_thread(self._credentials.has_other_than, sent):
            sent = await self._authorization(question.url)
            answer = await self._follow(transport, question, sent)
        return answer

    async def _authorization(self, url: str) -> dict[str, str]:
        return await _in_thread(self._credentials.headers_for, url)

    async def _follow(
        self, transport: httpx.AsyncHTTPTransport, question: _Question, sent: dict[str, str]
    ) -> Answer:
        url, subject, patience = question
        limits = {"timeout": self._timeout(patience).as_dict()}
        for _ in range(LONGEST_CHAIN):
            request = httpx.Request("GET", url, headers=_SENT | sent, extensions=limits)
            began = time.monotonic()
            answer = await transport.handle_async_request(request)
            count_answer(url, answer.status_code, time.monotonic() - began)
            async with aclosing(answer):
                answer.headers.encoding = "latin-1"
                if not answer.has_redirect_location:
                    return await _read(answer, subject)
                following = urls.following(url, answer.headers["location"])
            if urls.is_downgrade(url, following):
                # Contents are checked against what metadata promise; nothing checks those.
                raise ProtocolViolation(f"{subject}: redirected from https to http")
            url, sent = following, self._credentials.headers_for(following)
        raise ProtocolViolation(f"{subject}: redirected in circles")

    def _timeout(self, patience: float) -> httpx.Timeout:
        """How long to wait for a sign of life; not longer than whoever asks has patience."""
        idle = self._idle_timeout
        return httpx.Timeout(min(idle, max(patience, PROMPT)), connect=min(idle, PROMPT))

    def _note_rate(self, answer: Answer) -> None:
        now = time.monotonic()
        self._limits.note(answers.rate_states(answer.headers), now)
        if isinstance(answer.refusal, RateLimited):
            self._limits.close(API, now, answer.refusal.retry_after)


def _transport(endpoint: str) -> httpx.AsyncHTTPTransport:
    """The part of httpx below its client, which would read redirects and keep cookies."""
    proxy = Proxies().find(endpoint)
    return httpx.AsyncHTTPTransport(
        verify=tls_context(),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        proxy=httpx.Proxy(proxy.geturl()) if proxy else None,
    )


async def _read(answer: httpx.Response, subject: str) -> Answer:
    status, headers = answer.status_code, answer.headers
    if status != 200:
        with suppress(ProtocolViolation):  # read so that the connection can be used again
            await _take(answer, Body("", LARGEST_REFUSAL))
        refusal = answers.error_of(status, headers, subject)
        return Answer(status, headers, refusal=refusal)
    try:
        body = Body(headers.get("content-encoding", ""), LARGEST_ANSWER)
        await _take(answer, body)
        text = body.whole()
        return Answer(status, headers, json.loads(text) if text else None, body.size)
    except ProtocolViolation as error:
        raise ProtocolViolation(f"{subject}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation(f"{subject}: the answer is not JSON") from error


async def _take(answer: httpx.Response, body: Body) -> None:
    """Receive a body as far as it may be taken.

    Raises:
        ProtocolViolation: it is too long, or not what its encoding says.
    """
    violation: ProtocolViolation | None = None
    with trio.CancelScope() as scope:
        async for part in answer.aiter_raw():
            try:
                body.add(part)
            except ProtocolViolation as error:
                violation = error
                # Not by leaving the loop: httpx's generators would go on until they are collected.
                scope.cancel()
    if violation is not None:
        raise violation


async def _in_thread(work: Callable[[_Taken], _Made], taken: _Taken) -> _Made:
    return await trio.to_thread.run_sync(work, taken, abandon_on_cancel=True)


def _reason(error: BaseException) -> str:
    if isinstance(error, httpx.TimeoutException | trio.TooSlowError):
        return "it does not answer"
    if isinstance(error, httpx.RemoteProtocolError):
        return str(error).partition(":")[0]  # what follows quotes the answer
    cause = error.__cause__ or error.__context__
    if isinstance(error, httpx.ConnectError) and (reason := _refusal_in(cause)):
        return reason
    # A failed handshake is wrapped in several errors without a word.
    return str(error) or (_reason(cause) if cause else type(error).__name__)


def _refusal_in(error: BaseException | None) -> str:
    """What the system said of the name, or of the first address that was tried; or nothing."""
    while error is not None:
        if isinstance(error, socket.gaierror):
            return error.strerror or ""
        if isinstance(error, BaseExceptionGroup):
            first = error.exceptions[0]
            return os.strerror(first.errno) if isinstance(first, OSError) and first.errno else ""
        error = error.__cause__ or error.__context__
    return ""
