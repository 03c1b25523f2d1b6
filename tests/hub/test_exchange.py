"""One request, and whatever a server may answer; over plain TCP and over TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import HubUnreachable, ProtocolViolation
from hubfs.hub.exchange import LARGEST_HEAD, LEAST_PROGRESS, Exchange, Stall, unreachable
from hubfs.hub.lifeline import Lifeline
from hubfs.hub.wire import Wire
from tests.hub.conftest import Certificates
from tests.hub.scripted import (
    Line,
    ScriptedServer,
    Talk,
    answering,
    chunked,
    dribbling,
    hanging_up,
    reply,
)

BODY = bytes(range(256)) * 4000  # about a megabyte
SOON = 1.0

Connect = Callable[..., Exchange]


@pytest.fixture(params=["plain", "tls"])
def connect(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Connect]:
    """Makes the exchange with a server of its own; nothing has been asked yet."""
    is_tls = request.param == "tls"
    with ExitStack() as stack:

        def made(talk: Talk, patience: float = 20.0, lifeline: Lifeline | None = None) -> Exchange:
            server = ScriptedServer(talk, tls=certificates.server if is_tls else None)
            stack.enter_context(server)
            wire = Wire(socket.create_connection(("127.0.0.1", server.port)))
            stack.callback(wire.close)
            if is_tls:
                context = ssl.create_default_context(cafile=certificates.ca_file)
                wire.start_tls(context, "127.0.0.1", time.monotonic() + 20)
            return Exchange(wire, server.url, lifeline or Lifeline(), patience)

        yield made


def ask(exchange: Exchange) -> Exchange:
    exchange.ask("GET", "/x?y", {"host": "hub.example"})
    return exchange


def read_all(exchange: Exchange, step: int = 100_000) -> bytes:
    buffer, received = memoryview(bytearray(step)), b""
    while count := exchange.readinto(buffer):
        received += buffer[:count]
    return received


# --- answers that are in order ---------------------------------------------------------


def test_a_request_is_what_was_asked_and_no_more(certificates: Certificates) -> None:
    with ScriptedServer(answering(reply(200))) as server:
        wire = Wire(socket.create_connection(("127.0.0.1", server.port)))
        exchange = Exchange(wire, server.url, Lifeline(), 20)
        exchange.ask("GET", "/x?y", {"host": "hub.example", "range": "bytes=0-4"})
        exchange.close()
        assert server.requests == ["GET /x?y HTTP/1.1\r\nhost: hub.example\r\nrange: bytes=0-4"]


@pytest.mark.parametrize("step", [1000, 16 << 10, 100_000, 3_000_000])
def test_a_body_of_known_length_arrives_whole(connect: Connect, step: int) -> None:
    exchange = ask(connect(answering(reply(206, BODY, "X-A: 1", "x-a: 2"))))
    assert exchange.status == 206
    assert exchange.headers["x-a"] == "1, 2"
    assert not exchange.is_reusable
    assert read_all(exchange, step) == BODY
    assert exchange.is_reusable


@pytest.mark.parametrize("step", [1000, 100_000])
def test_a_body_in_chunks_arrives_whole(connect: Connect, step: int) -> None:
    exchange = ask(connect(answering(chunked(200, BODY[:5], BODY[5:70_000], BODY[70_000:]))))
    assert read_all(exchange, step) == BODY
    assert exchange.is_reusable


def test_a_body_that_ends_with_its_connection_arrives_whole(connect: Connect) -> None:
    exchange = ask(connect(hanging_up(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)))
    assert read_all(exchange) == BODY
    assert not exchange.is_reusable


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body_whatever_they_say(connect: Connect, status: int) -> None:
    exchange = ask(connect(answering(reply(status, length=5))))
    assert read_all(exchange) == b""
    assert exchange.is_reusable


def test_an_empty_body_leaves_the_connection_usable(connect: Connect) -> None:
    assert ask(connect(answering(reply(200)))).is_reusable


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.0 200 OK\r\nContent-Length: 5",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, Close",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5",
        "HTTP/1.1 200\r\nContent-Length: 5, 5\r\nConnection: close",
    ],
)
def test_a_server_that_does_not_keep_connections_is_believed(connect: Connect, head: str) -> None:
    exchange = ask(connect(answering(head.encode() + b"\r\n\r\n12345")))
    assert read_all(exchange) == b"12345"
    assert not exchange.is_reusable


@pytest.mark.parametrize("informing", [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"] * 2)
def test_answers_that_only_inform_are_passed_over(connect: Connect, informing: bytes) -> None:
    """Taken for the answer, the real one would have answered the next request."""
    more = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    exchange = ask(connect(answering(informing + more + reply(200, b"real"))))
    assert exchange.status == 200
    assert read_all(exchange) == b"real"
    assert exchange.is_reusable


def test_very_many_headers_are_taken(connect: Connect) -> None:
    headers = [f"X-{number}: {number}" for number in range(500)]
    assert ask(connect(answering(reply(200, b"", *headers)))).headers["x-499"] == "499"


# --- answers that are not --------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLocation: https://cdn.example/?Signature=secret\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * LARGEST_HEAD) + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
    ],
)
def test_what_is_not_http_is_refused_and_not_repeated(connect: Connect, answer: bytes) -> None:
    exchange = connect(answering(answer))
    with pytest.raises(ProtocolViolation) as refused:
        ask(exchange)
    assert str(refused.value).endswith(" does not speak HTTP")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("broken", [b"zz\r\nx", b"5\r\n12345678\r\n0\r\n\r\n", b"-1\r\n\r\n"])
def test_chunks_with_wrong_lengths_are_refused(connect: Connect, broken: bytes) -> None:
    head = b"HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\n\r\n"
    exchange = ask(connect(answering(head + broken)))
    with pytest.raises(ProtocolViolation):
        read_all(exchange)


def test_chunks_that_end_too_early_are_noticed(connect: Connect) -> None:
    exchange = ask(connect(hanging_up(chunked(200, BODY)[:-1000])))
    with pytest.raises(ProtocolViolation):
        read_all(exchange)


def test_a_body_that_ends_too_early_is_what_came(connect: Connect) -> None:
    exchange = ask(connect(hanging_up(reply(206, BODY[:700_000], length=len(BODY)))))
    assert read_all(exchange) == BODY[:700_000]
    assert not exchange.is_reusable


def test_a_length_that_no_body_has_is_a_body_that_ends_too_early(connect: Connect) -> None:
    exchange = ask(connect(hanging_up(reply(200, b"12345", length=10**19))))
    assert read_all(exchange) == b"12345"


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"12345") + b"HTTP/1.1 200 OK\r\n\r\n",
        chunked(200, b"12345") + b"!",
        chunked(200, b"12345", headers=("Content-Length: 5",)),
    ],
)
def test_a_connection_with_bytes_nobody_asked_for_is_not_used_again(
    connect: Connect, answer: bytes
) -> None:
    """They would be taken for the next answer."""
    exchange = ask(connect(answering(answer)))
    assert read_all(exchange) == b"12345"
    assert not exchange.is_reusable


@pytest.mark.parametrize("value", ["Bearer a\r\nx-evil: 1", "Bearer \0", "a\n"])
def test_a_header_cannot_bring_another_one(connect: Connect, value: str) -> None:
    exchange = connect(answering(reply(200)))
    with pytest.raises(ProtocolViolation) as refused:
        exchange.ask("GET", "/", {"host": "x", "authorization": value})
    assert value not in str(refused.value)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nx: y", "/\0"])
def test_a_target_cannot_bring_a_header(connect: Connect, target: str) -> None:
    with pytest.raises(ProtocolViolation):
        connect(answering(reply(200))).ask("GET", target, {"host": "x"})


# --- ends ------------------------------------------------------------------------------


def test_a_connection_that_ends_before_its_answer_is_told_from_others(connect: Connect) -> None:
    exchange = connect(hanging_up(b""))
    with pytest.raises(HubUnreachable):
        ask(exchange)
    assert exchange.is_unanswered


def test_a_connection_that_ends_within_a_head_has_answered(connect: Connect) -> None:
    exchange = connect(hanging_up(b"HTTP/1.1 200 OK\r\nContent-"))
    with pytest.raises(HubUnreachable):
        ask(exchange)
    assert not exchange.is_unanswered


def reset(server: ScriptedServer, line: Line) -> None:
    line.request()
    line.say(reply(200, BODY[:100_000], length=len(BODY)))
    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.sock.close()


def test_a_reset_is_a_broken_connection(connect: Connect) -> None:
    exchange = connect(reset)
    with pytest.raises(HubUnreachable):
        read_all(ask(exchange))
    assert not exchange.is_reusable


# --- time ------------------------------------------------------------------------------


def silence(server: ScriptedServer, line: Line) -> None:
    server.note(line.request())
    line.wait_for_end()


def test_a_server_that_says_nothing_is_given_up(connect: Connect) -> None:
    exchange = connect(silence, SOON)
    with pytest.raises(HubUnreachable, match="nothing came for too long"):
        ask(exchange)
    assert not exchange.is_unanswered


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_head_that_dribbles_for_ever_is_given_up(
    connect: Connect, start: bytes, drop: bytes
) -> None:
    """Each receive gets a byte: no timeout of a single one would ever pass."""
    with pytest.raises(HubUnreachable, match="nothing came for too long"):
        ask(connect(dribbling(start, drop), SOON))


@pytest.mark.parametrize("start", [reply(206, length=1 << 30), chunked(206)[:-5]])
def test_a_body_that_dribbles_for_ever_is_given_up(connect: Connect, start: bytes) -> None:
    drop = b"1\r\nx\r\n" if b"chunked" in start else b"x"
    exchange = ask(connect(dribbling(start, drop), SOON))
    with pytest.raises(HubUnreachable, match="nothing came for too long"):
        read_all(exchange)


def test_a_body_that_stalls_is_given_up(connect: Connect) -> None:
    exchange = ask(connect(answering(reply(206, BODY[:300_000], length=len(BODY))), SOON))
    with pytest.raises(HubUnreachable, match="nothing came for too long"):
        read_all(exchange)


def test_what_has_come_of_a_slow_body_is_handed_over(connect: Connect) -> None:
    """A reader of the first bytes need not wait until a megabyte is full."""
    exchange = ask(connect(answering(reply(206, BODY[:300_000], length=len(BODY)))))
    buffer, received = memoryview(bytearray(len(BODY))), 0
    while received < 300_000:
        received += exchange.readinto(buffer[received:])
    assert buffer[:received] == BODY[:300_000]


@given(st.lists(st.tuples(st.integers(0, LEAST_PROGRESS - 1), st.floats(0, 10)), max_size=50))
def test_less_than_the_least_is_no_progress(steps: list[tuple[int, float]]) -> None:
    stall = Stall(30.0)
    came, waited = 0, 0.0
    for count, seconds in steps:
        came, waited = came + count, waited + seconds
        stall.note(count, seconds)
        if came >= LEAST_PROGRESS:
            came, waited = 0, 0.0
        assert stall.left == pytest.approx(30.0 - waited)


# --- lifelines -------------------------------------------------------------------------


def cut_once(reached: threading.Event, lifeline: Lifeline) -> threading.Thread:
    def cut() -> None:
        reached.wait(20)
        lifeline.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    return thread


def test_a_cut_ends_the_wait_for_a_head(connect: Connect) -> None:
    asked, lifeline = threading.Event(), Lifeline()

    def talk(server: ScriptedServer, line: Line) -> None:
        line.request()
        asked.set()
        line.wait_for_end()

    exchange = connect(talk, 60.0, lifeline)
    cutting = cut_once(asked, lifeline)
    with pytest.raises(HubUnreachable, match="given up"):
        ask(exchange)
    cutting.join()


@pytest.mark.parametrize(
    "start", [reply(206, BODY[:50_000], length=len(BODY)), chunked(206, BODY)[:-99]]
)
def test_a_cut_ends_the_wait_for_a_body(connect: Connect, start: bytes) -> None:
    lifeline, begun = Lifeline(), threading.Event()
    exchange = ask(connect(answering(start), 60.0, lifeline))
    cutting = cut_once(begun, lifeline)
    buffer = memoryview(bytearray(10_000))
    exchange.readinto(buffer)
    begun.set()
    with pytest.raises(HubUnreachable, match="given up"):
        read_all(exchange)
    cutting.join()


def test_what_was_cut_before_it_was_asked_is_not_asked(connect: Connect) -> None:
    lifeline = Lifeline()
    lifeline.cut()
    with pytest.raises(HubUnreachable, match="given up"):
        ask(connect(answering(reply(200)), 20.0, lifeline))


# --- draining --------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [reply(302, b"x" * 5000), chunked(302, b"x" * 5000)])
def test_a_short_body_is_taken_off_the_wire(connect: Connect, answer: bytes) -> None:
    exchange = ask(connect(answering(answer)))
    exchange.drain()
    assert exchange.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        reply(302, BODY),
        reply(302, b"x", length=5000),
        b"HTTP/1.1 302 Found\r\n\r\nx",
        chunked(302, b"x")[:-3],
        chunked(302, b"x").replace(b"0\r\n", b"zz\r\n"),
    ],
)
def test_a_long_or_broken_body_is_left_where_it_is(connect: Connect, answer: bytes) -> None:
    exchange = ask(connect(answering(answer)))
    exchange.drain()
    assert not exchange.is_reusable


# --- words -----------------------------------------------------------------------------


def test_a_failure_names_the_host_and_the_reason() -> None:
    url = "https://cdn.example:8443/x?Signature=secret"
    error = unreachable(url, ConnectionRefusedError(111, "Connection refused"))
    assert str(error) == "cdn.example:8443 cannot be reached: Connection refused"
    assert str(unreachable(url, OSError())).endswith(": OSError")


def test_who_does_not_trust_a_certificate_is_told_what_to_do() -> None:
    assert "SSL_CERT_FILE" in unreachable("https://x", ssl.SSLCertVerificationError()).hint
