"""Single requests for metadata, to servers that are no Hub."""

from __future__ import annotations

import base64
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from hubfs.errors import (
    AccessDenied,
    BadToken,
    HubError,
    HubUnreachable,
    NoConnection,
    Offline,
    ProtocolViolation,
    RateLimited,
    RepoNotFound,
    UsageError,
)
from hubfs.hub.credentials import Credentials
from hubfs.hub.metadata import LARGEST_ANSWER, MetadataClient
from hubfs.hub.pace import API, BREAKER_THRESHOLD, Breaker, RateLimits
from tests.hub.conftest import Certificates
from tests.hub.scripted import (
    Line,
    ScriptedServer,
    answering,
    chunked,
    dribbling,
    hanging_up,
    reply,
)

SOON = 0.3
FINE = reply(200, b'{"fine": true}')


@asynccontextmanager
async def client_of(
    endpoint: str,
    token: str | None = None,
    *,
    limits: RateLimits | None = None,
    breaker: Breaker | None = None,
    idle_timeout: float = 20.0,
    offline: bool = False,
) -> AsyncIterator[MetadataClient]:
    made = MetadataClient(
        endpoint,
        Credentials(endpoint, token),
        limits=limits or RateLimits(),
        breaker=breaker or Breaker(),
        idle_timeout=idle_timeout,
        offline=offline,
    )
    try:
        yield made
    finally:
        await made.close()


async def asked(*answers: bytes, patience: float = 0.0) -> object:
    """What a server with these answers is taken to say; the first failure counts."""
    with ScriptedServer(hanging_up(*answers)) as server:
        async with client_of(server.url) as client:
            answer = await client.get(f"{server.url}/x", "it", patience)
            return answer.checked()


# --- answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        FINE,
        chunked(200, b'{"fine"', b": true}"),
        b'HTTP/1.0 200 OK\r\n\r\n{"fine": true}',
        reply(200, gzip.compress(b'{"fine": true}', mtime=0), "Content-Encoding: gzip"),
        reply(200, '{"fine": true}'.encode("utf-16"), "Content-Type: application/json"),
        b"HTTP/1.1 103 x\r\n\r\n" + FINE,
    ],
)
async def test_json_may_come_in_several_shapes(answer: bytes) -> None:
    assert await asked(answer) == {"fine": True}


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b" "),
        reply(200, b"<html>Welcome</html>"),
        reply(200, b'{"fine": tru'),
        reply(200, b'{"a": "\xff\xfe"}'),
        reply(200, b"[" * 1_000_000),
        reply(200, b'{"a":' * 500_000),
        reply(200, b"9" * 5000),
        reply(200, b"{}", "Content-Encoding: gzip"),
        reply(200, gzip.compress(b"{}", mtime=0)[:-4], "Content-Encoding: gzip"),
        reply(200, b"{}", "Content-Encoding: br"),
        reply(
            200,
            gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0),
            "Content-Encoding: gzip, gzip",
        ),
        reply(200, b"{}", "Content-Encoding: gzip", "Content-Encoding: gzip"),
        reply(204),
        reply(206, b"{}"),
        reply(302),
        reply(400, b"{}"),
    ],
)
async def test_what_is_no_json_is_a_violation(answer: bytes) -> None:
    with pytest.raises(ProtocolViolation, match=r"^it: "):
        await asked(answer)


async def test_an_answer_of_nothing_is_nothing() -> None:
    assert await asked(reply(200)) is None


async def test_an_answer_that_does_not_end_is_ended() -> None:
    with pytest.raises(ProtocolViolation, match="does not end"):
        await asked(reply(200, bytes(LARGEST_ANSWER + 1)))


async def test_an_answer_that_unpacks_without_end_is_ended() -> None:
    bomb = gzip.compress(bytes(LARGEST_ANSWER + 1))
    with pytest.raises(ProtocolViolation, match="does not end"):
        await asked(reply(200, bomb, "Content-Encoding: gzip"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: Signature=secret\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSignature=secret\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        reply(200, b"{}", length=5),
    ],
)
async def test_what_is_no_http_is_no_answer_and_is_not_repeated(answer: bytes) -> None:
    with pytest.raises(HubUnreachable) as failed:
        await asked(answer)
    assert "secret" not in str(failed.value)


async def test_one_connection_serves_refusals_and_answers_alike() -> None:
    answers = [reply(404, b"no"), reply(401, b"no"), FINE, reply(500, b"no"), FINE]
    with ScriptedServer(answering(*answers)) as server:
        async with client_of(server.url) as client:
            for each in range(5):
                try:
                    await client.get(f"{server.url}/{each}", "it", 0)
                except HubUnreachable:
                    assert each == 3
        assert (server.connections, len(server.requests)) == (1, 5)


async def test_the_body_of_a_refusal_does_not_matter() -> None:
    for body in (b"", b"x" * 1_000_000):
        with pytest.raises(RepoNotFound):
            await asked(reply(404, body, "Content-Encoding: br"))


async def test_a_request_says_who_asks_and_what_it_can_read() -> None:
    with ScriptedServer(answering(FINE)) as server:
        async with client_of(server.url, "hf_first") as client:
            await client.get(f"{server.url}/x?y=z", "it", 0)
        lines = server.requests[0].lower().split("\r\n")
    assert lines[0] == "get /x?y=z http/1.1"
    assert {"accept-encoding: gzip", "authorization: bearer hf_first"} < set(lines)
    assert any(each.startswith("user-agent: hubfs/") for each in lines)


# --- time ------------------------------------------------------------------------------


def silence(server: ScriptedServer, line: Line) -> None:
    server.note(line.request())
    line.wait_for_end()


@pytest.mark.parametrize(
    "talk",
    [
        silence,
        dribbling(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        dribbling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dribbling(reply(200, b'{"a": "', length=1 << 20), b"x"),
        dribbling(reply(404, length=1 << 20), b"x"),
        dribbling(reply(302, b"", "Location: /x", length=1 << 20), b"x"),
    ],
)
async def test_a_server_that_dribbles_for_ever_is_given_up(talk: object) -> None:
    with ScriptedServer(talk) as server:  # type: ignore[arg-type]
        async with client_of(server.url, idle_timeout=SOON) as client:
            with pytest.raises(HubError, match=r"does not answer|in circles"):
                await client.get(f"{server.url}/x", "it", 0)


async def test_a_silence_is_waited_out_once() -> None:
    """Each of those who ask next would wait as long, perhaps in a path lookup."""
    with ScriptedServer(silence) as server:
        async with client_of(server.url, idle_timeout=SOON) as client:
            for _ in range(5):
                with pytest.raises(HubUnreachable, match="it does not answer"):
                    await client.get(f"{server.url}/x", "it", 60)
        assert server.connections == 1


async def test_answers_that_only_inform_do_not_go_on_for_ever() -> None:
    def talk(server: ScriptedServer, line: Line) -> None:
        server.note(line.request())
        while True:
            line.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with ScriptedServer(talk) as server:
        async with client_of(server.url, idle_timeout=SOON) as client:
            with pytest.raises(HubUnreachable):
                await client.get(f"{server.url}/x", "it", 0)


async def test_who_gives_up_leaves_the_client_usable() -> None:
    with ScriptedServer(silence, answering(FINE)) as server:
        async with client_of(server.url) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.get, f"{server.url}/x", "it", 60)
                await trio.to_thread.run_sync(server.wait_for, lambda each: bool(each.requests))
                nursery.cancel_scope.cancel()
            answer = await client.get(f"{server.url}/x", "it", 0)
            assert answer.content == {"fine": True}


# --- trying again ----------------------------------------------------------------------


async def test_what_passes_is_retried() -> None:
    answers = [reply(503), reply(502), FINE]
    with ScriptedServer(answering(*answers)) as server:
        async with client_of(server.url) as client:
            answer = await client.get(f"{server.url}/x", "it", 60)
        assert answer.content == {"fine": True}
        assert len(server.requests) == 3


async def test_what_does_not_pass_is_not_tried_for_long() -> None:
    """Somebody waits for it in a path lookup, and holds a directory."""
    with ScriptedServer(answering(*[reply(503)] * 10)) as server:
        async with client_of(server.url) as client:
            with pytest.raises(HubUnreachable):
                await client.get(f"{server.url}/x", "it", 60)
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_is_not_tried_again(status: int) -> None:
    with ScriptedServer(answering(reply(status), FINE)) as server:
        async with client_of(server.url) as client:
            answer = await client.get(f"{server.url}/x", "it", 60)
        assert (answer.status, len(server.requests)) == (status, 1)
        assert isinstance(answer.refusal, (RepoNotFound, AccessDenied))


async def test_a_short_rate_limit_is_waited_for() -> None:
    limited = reply(429, b"", "Retry-After: 1")
    with ScriptedServer(answering(limited, FINE)) as server:
        async with client_of(server.url) as client:
            began = trio.current_time()
            answer = await client.get(f"{server.url}/x", "it", 60)
            assert trio.current_time() - began >= 0.99
        assert answer.content == {"fine": True}


async def test_a_long_rate_limit_is_not_waited_for_and_holds_for_all() -> None:
    limited = reply(429, b"", 'RateLimit: "api";r=0;t=300')
    with ScriptedServer(answering(limited, FINE)) as server:
        async with client_of(server.url) as client:
            for _ in range(3):
                with pytest.raises(RateLimited) as refused:
                    await client.get(f"{server.url}/x", "it", 10)
                assert 290 < refused.value.retry_after <= 301
        assert len(server.requests) == 1


async def test_the_last_request_of_a_window_closes_it() -> None:
    limits = RateLimits()
    last = reply(200, b"{}", 'RateLimit: "api";r=0;t=300')
    with ScriptedServer(answering(last, FINE)) as server:
        async with client_of(server.url, limits=limits) as client:
            await client.get(f"{server.url}/x", "it", 10)
            with pytest.raises(RateLimited):
                await client.get(f"{server.url}/x", "it", 10)
        assert len(server.requests) == 1


async def test_an_absurd_rate_limit_does_not_lock_the_hub_out_for_ever() -> None:
    limits = RateLimits()
    absurd = reply(429, b"", f'RateLimit: "api";r=0;t={"9" * 14}', f"Retry-After: {'9' * 400}")
    with ScriptedServer(answering(absurd)) as server:
        async with client_of(server.url, limits=limits) as client:
            with pytest.raises(RateLimited):
                await client.get(f"{server.url}/x", "it", 10)
    assert limits.wait(API, 0.0) < 1e9


async def test_a_dead_hub_is_asked_ever_more_rarely() -> None:
    breaker = Breaker()
    for number in range(BREAKER_THRESHOLD):
        breaker.note_failure(trio.current_time() + 1e9 + number, "it cannot be reached: reset")
    with ScriptedServer(answering(FINE)) as server:
        async with client_of(server.url, breaker=breaker) as client:
            with pytest.raises(HubUnreachable, match="it cannot be reached: reset"):
                await client.get(f"{server.url}/x", "it", 10)
        assert server.connections == 0


UNKNOWN = "http://" + ".".join(["a" * 60] * 5)  # longer than a name can be: nobody is asked


@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:9", "Connection refused"), (UNKNOWN, "not known")]
)
async def test_an_address_where_nothing_is_is_told_from_a_hub_in_trouble(
    url: str, reason: str
) -> None:
    breaker = Breaker()
    async with client_of(url, breaker=breaker) as client:
        with pytest.raises(NoConnection, match=f"it: .* cannot be reached: .*{reason}") as failed:
            await client.get(f"{url}/x", "it", 0)
        assert "hubfs doctor" in failed.value.hint
        for number in range(BREAKER_THRESHOLD):
            now = trio.current_time() + 1e9 + number
            breaker.note_failure(now, breaker.reason, lacks_connection=True)
        with pytest.raises(NoConnection, match=reason):  # though it is not tried any more
            await client.get(f"{url}/x", "it", 0)
        breaker.note_failure(trio.current_time() + 2e9, "said nothing", is_silence=True)
        with pytest.raises(HubUnreachable, match="said nothing") as silent:
            await client.get(f"{url}/x", "it", 0)
        assert not isinstance(silent.value, NoConnection)
    for answer in (reply(503), b""):
        with pytest.raises(HubUnreachable) as troubled:
            await asked(answer)
        assert not isinstance(troubled.value, NoConnection)


@pytest.mark.parametrize(
    ("answer", "failures"), [(b"", 1), (FINE, 0), (reply(404), 0), (reply(503), 0)]
)
async def test_only_a_hub_that_does_not_answer_is_dead(answer: bytes, failures: int) -> None:
    breaker = Breaker()
    with ScriptedServer(hanging_up(answer)) as server:
        async with client_of(server.url, breaker=breaker) as client:
            with suppress(HubUnreachable):
                await client.get(f"{server.url}/x", "it", 0)
    assert breaker.failures == failures


async def test_offline_makes_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it mind a proxy or certificates that it will not need."""
    monkeypatch.setenv("http_proxy", "socks5://proxy.example")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with ScriptedServer(answering(FINE)) as server:
        async with client_of(server.url, offline=True) as client:
            with pytest.raises(Offline):
                await client.get(f"{server.url}/x", "it", 10)
        assert server.connections == 0


# --- redirects and the token -----------------------------------------------------------


async def test_the_token_follows_within_the_origin_only() -> None:
    with ScriptedServer(answering(FINE)) as other:
        there = reply(307, b"", "Location: /there")
        away = reply(307, b"", f"Location: {other.url}/away")
        with ScriptedServer(answering(there), answering(away)) as hub:
            async with client_of(hub.url, "hf_secret") as client:
                answer = await client.get(f"{hub.url}/x", "it", 0)
        assert answer.content == {"fine": True}
        assert ["hf_secret" in each for each in hub.requests] == [True, True]
        assert "hf_secret" not in other.requests[0]


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://hf_x:y@127.0.0.1/",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "http://\xff/",
        "/a\tb",
    ],
)
async def test_a_redirect_that_no_one_should_follow_is_refused(location: str) -> None:
    with pytest.raises(ProtocolViolation):
        await asked(reply(302, b"", f"Location: {location}"))


async def test_a_redirect_is_followed_byte_for_byte() -> None:
    moved = reply(302, b"", "Location: /\xc3\xbc/a b?c=%2F%20d")
    with ScriptedServer(hanging_up(moved), answering(FINE)) as server:
        async with client_of(server.url) as client:
            await client.get(f"{server.url}/x", "it", 0)
        assert server.requests[1].startswith("GET /%C3%BC/a%20b?c=%2F%20d HTTP/1.1\r\n")


async def test_redirects_in_circles_end() -> None:
    circle = reply(302, b"", "Location: /x", "Connection: close")
    with ScriptedServer(hanging_up(circle)) as server:
        async with client_of(server.url) as client:
            with pytest.raises(ProtocolViolation, match="circles"):
                await client.get(f"{server.url}/x", "it", 0)
        assert len(server.requests) == 5


async def test_metadata_never_come_in_the_clear_from_a_hub_under_tls(
    trusted: Certificates,
) -> None:
    """They say what contents must be: nothing else would notice that they were changed."""
    with ScriptedServer(answering(FINE)) as plain:
        moved = reply(302, b"", f"Location: {plain.url}/x")
        with ScriptedServer(answering(moved), tls=trusted.server) as hub:
            async with client_of(hub.url) as client:
                with pytest.raises(ProtocolViolation, match="from https to http"):
                    await client.get(f"{hub.url}/x", "it", 0)
        assert plain.connections == 0


async def test_a_token_that_has_changed_is_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    refused = reply(401, b"", "X-Error-Message: Invalid credentials in Authorization header")
    with ScriptedServer(answering(FINE, refused, FINE, refused)) as server:
        async with client_of(server.url) as client:
            await client.get(f"{server.url}/x", "it", 0)
            monkeypatch.setenv("HF_TOKEN", "hf_second")
            assert (await client.get(f"{server.url}/x", "it", 0)).content == {"fine": True}
            assert isinstance((await client.get(f"{server.url}/x", "it", 0)).refusal, BadToken)
        sent = ["hf_first" in each for each in server.requests]
    assert sent == [True, True, False, False]


async def test_a_connection_that_breaks_while_a_new_token_is_tried_is_a_failure_like_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    with ScriptedServer(answering(FINE), hanging_up(reply(401), b"")) as server:
        async with client_of(server.url) as client:
            await client.get(f"{server.url}/x", "it", 0)
            monkeypatch.setenv("HF_TOKEN", "hf_second")
        async with client_of(server.url) as client:
            with pytest.raises(RepoNotFound):
                (await client.get(f"{server.url}/x", "it", 0)).checked()
            monkeypatch.setenv("HF_TOKEN", "hf_third")
            with pytest.raises(HubUnreachable):
                await client.get(f"{server.url}/x", "it", 0)


# --- proxies and certificates ----------------------------------------------------------


async def test_a_proxy_is_asked_with_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answering(FINE)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:pass%20word@"))
        async with client_of("http://hub.example") as client:
            await client.get("http://hub.example/x", "it", 0)
        pair = base64.b64encode(b"user:pass word").decode()
        assert proxy.requests[0].startswith("GET http://hub.example/x HTTP/1.1\r\n")
        assert f"proxy-authorization: basic {pair}".lower() in proxy.requests[0].lower()


async def test_tls_goes_through_a_proxy_as_it_is(
    trusted: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(server: ScriptedServer, line: Line) -> None:
        server.note(line.request())
        line.say(b"HTTP/1.1 200 Connection established\r\n\r\n")
        line.start_tls(trusted.server)
        answering(FINE)(server, line)

    with ScriptedServer(talk) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        async with client_of("https://localhost", "hf_secret") as client:
            await client.get("https://localhost/x", "it", 0)
        assert [each.split()[:2] for each in proxy.requests] == [
            ["CONNECT", "localhost:443"],
            ["GET", "/x"],
        ]
        assert "hf_secret" not in proxy.requests[0]


async def test_who_needs_no_proxy_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert await asked(FINE) == {"fine": True}


@pytest.mark.parametrize("name", ["all_proxy", "https_proxy"])
async def test_a_proxy_of_another_kind_is_refused_from_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "socks5://user:secret@proxy.example:1080")
    with pytest.raises(UsageError) as refused:
        async with client_of("https://hub.example"):
            pass
    assert "secret" not in str(refused.value)


async def test_certificates_that_cannot_be_read_are_refused_from_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(UsageError, match="cannot be read"):
        async with client_of("https://hub.example"):
            pass


async def test_a_certificate_nobody_vouches_for_is_refused(certificates: Certificates) -> None:
    with ScriptedServer(answering(FINE), tls=certificates.server) as server:
        async with client_of(server.url, "hf_secret") as client:
            with pytest.raises(HubUnreachable, match="certificate"):
                await client.get(f"{server.url}/x", "it", 0)
        assert server.requests == []
