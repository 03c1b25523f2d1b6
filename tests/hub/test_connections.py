"""How connections come about, are kept, and are found to be no use any more."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from hubfs.errors import HubUnreachable, ProtocolViolation
from hubfs.hub.connections import MOST_IDLE, Connections, Exchange, Lifeline
from tests.hub.conftest import Certificates
from tests.hub.scripted import (
    Line,
    ScriptedServer,
    Talk,
    answering,
    hanging_up,
    reply,
)

SOON = 0.3
HELLO = reply(200, b"hello")


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(20.0)
    yield made
    made.close()


@pytest.fixture
def impatient() -> Iterator[Connections]:
    made = Connections(SOON)
    yield made
    made.close()


Within = Callable[..., Connections]


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Iterator[Within]:
    """Makes connections in an environment with these variables."""
    with contextlib.ExitStack() as stack:

        def made(**variables: str) -> Connections:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            return stack.enter_context(contextlib.closing(Connections(SOON * 30)))

        yield made


def get(connections: Connections, url: str, lifeline: Lifeline | None = None) -> Exchange:
    return connections.get(url, {}, lifeline or Lifeline())


def fetch(connections: Connections, url: str) -> bytes:
    """Ask, read the body, and put the connection back."""
    exchange = get(connections, url)
    buffer, body = memoryview(bytearray(65536)), b""
    while count := exchange.readinto(buffer):
        body += buffer[:count]
    connections.put_back(exchange)
    return body


# --- keeping ---------------------------------------------------------------------------


def test_a_connection_serves_one_request_after_another(connections: Connections) -> None:
    with ScriptedServer(answering(HELLO, HELLO, HELLO)) as server:
        for number in range(3):
            assert fetch(connections, f"{server.url}/{number}?q") == b"hello"
        assert server.connections == 1
        assert [each.split()[1] for each in server.requests] == ["/0?q", "/1?q", "/2?q"]


def test_under_tls_too(connections: Connections, trusted: Certificates) -> None:
    with ScriptedServer(answering(HELLO, HELLO), tls=trusted.server) as server:
        assert [fetch(connections, server.url) for _ in range(2)] == [b"hello"] * 2
        assert server.connections == 1


def test_each_server_has_its_own(connections: Connections) -> None:
    with ScriptedServer(answering(HELLO)) as one, ScriptedServer(answering(HELLO)) as other:
        fetch(connections, one.url)
        fetch(connections, other.url)
        assert (one.connections, other.connections) == (1, 1)


def test_a_request_under_way_does_not_hold_another_up(connections: Connections) -> None:
    with ScriptedServer(answering(HELLO)) as server:
        first, second = get(connections, server.url), get(connections, server.url)
        connections.put_back(first)
        connections.put_back(second)
        assert server.connections == 2


def test_the_host_is_named_as_it_is_spelt(connections: Connections) -> None:
    with ScriptedServer(answering(HELLO)) as server:
        fetch(connections, server.url)
        assert f"host: 127.0.0.1:{server.port}" in server.requests[0]


def test_a_connection_whose_body_was_not_read_is_not_kept(connections: Connections) -> None:
    with ScriptedServer(answering(HELLO)) as server:
        connections.put_back(get(connections, server.url))
        fetch(connections, server.url)
        assert server.connections == 2


def test_a_connection_that_the_server_has_ended_is_not_used(connections: Connections) -> None:
    with ScriptedServer(hanging_up(HELLO), answering(HELLO)) as server:
        fetch(connections, server.url)
        assert fetch(connections, server.url) == b"hello"
        assert len(server.requests) == 2


def test_a_connection_that_ends_as_it_is_used_is_replaced(connections: Connections) -> None:
    """The server had not hung up yet when the request was sent: nobody is to blame."""
    with ScriptedServer(hanging_up(HELLO, b""), answering(HELLO)) as server:
        fetch(connections, server.url)
        assert fetch(connections, server.url) == b"hello"
        assert (server.connections, len(server.requests)) == (2, 3)


def test_a_new_connection_that_ends_is_a_failure(connections: Connections) -> None:
    with ScriptedServer(hanging_up(b"")) as server:
        with pytest.raises(HubUnreachable):
            get(connections, server.url)
        assert server.connections == 1


def test_a_kept_connection_that_goes_silent_is_a_failure(impatient: Connections) -> None:
    """It may have been heard: asking again at once would double what a slow server has to do."""
    with ScriptedServer(answering(HELLO, b"")) as server:
        fetch(impatient, server.url)
        with pytest.raises(HubUnreachable, match="nothing came"):
            get(impatient, server.url)
        assert server.connections == 1


def test_what_a_server_says_unasked_is_not_taken_for_an_answer(connections: Connections) -> None:
    said = threading.Event()

    def talk(server: ScriptedServer, line: Line) -> None:
        server.note(line.request())
        line.say(HELLO)
        said.wait(20)
        line.say(reply(200, b"nobody asked"))
        line.wait_for_end()

    with ScriptedServer(talk, answering(HELLO)) as server:
        exchange = get(connections, server.url)
        buffer = memoryview(bytearray(5))
        exchange.readinto(buffer)
        said.set()
        exchange.wire.socket.recv(1, socket.MSG_PEEK)  # it is here
        connections.put_back(exchange)
        assert fetch(connections, server.url) == b"hello"
        assert server.connections == 2


def test_only_so_many_are_kept(connections: Connections) -> None:
    """Each shard of a CDN is a server of its own: their connections must not pile up."""
    with ScriptedServer(answering(reply(200))) as server:
        for exchange in [get(connections, server.url) for _ in range(MOST_IDLE + 5)]:
            connections.put_back(exchange)
        assert len(connections._idle) == MOST_IDLE


def test_what_is_put_back_too_late_is_closed(connections: Connections) -> None:
    with ScriptedServer(answering(HELLO)) as server:
        exchange = get(connections, server.url)
        exchange.readinto(memoryview(bytearray(10)))
        connections.close()
        connections.put_back(exchange)
        assert exchange.wire.socket.fileno() == -1
        assert not connections._idle


def test_a_connection_put_back_is_not_its_lifeline_s_any_more(connections: Connections) -> None:
    lifeline = Lifeline()
    with ScriptedServer(answering(HELLO, HELLO)) as server:
        exchange = get(connections, server.url, lifeline)
        exchange.readinto(memoryview(bytearray(10)))
        connections.put_back(exchange)
        lifeline.cut()
        assert fetch(connections, server.url) == b"hello"
        assert server.connections == 1


def test_threads_share_connections(connections: Connections) -> None:
    with ScriptedServer(answering(*[HELLO] * 100)) as server:
        bodies: list[bytes] = []

        def work() -> None:
            bodies.extend(fetch(connections, server.url) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(5)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert bodies == [b"hello"] * 100
        assert server.connections <= 5


# --- connecting ------------------------------------------------------------------------


def test_a_port_where_nobody_listens_cannot_be_reached(connections: Connections) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/x?Signature=secret"
        with pytest.raises(HubUnreachable, match="Connection refused") as failed:
            get(connections, url)
    assert "secret" not in str(failed.value)


def test_a_name_that_is_none_cannot_be_reached(connections: Connections) -> None:
    with pytest.raises(HubUnreachable, match=r"a\.\.b cannot be reached: no such host"):
        get(connections, "http://a..b/")


def test_a_certificate_nobody_vouches_for_is_refused(
    connections: Connections, certificates: Certificates
) -> None:
    with ScriptedServer(answering(HELLO), tls=certificates.server) as server:
        with pytest.raises(HubUnreachable, match="certificate") as failed:
            get(connections, server.url)
        assert "SSL_CERT_FILE" in failed.value.hint
        assert server.requests == []


def test_certificates_that_cannot_be_read_are_said_to_be(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with ScriptedServer(answering(HELLO)) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(HubUnreachable, match="certificates to trust"):
            get(connections, url)


def test_a_server_that_does_not_speak_tls_cannot_be_reached(connections: Connections) -> None:
    def talk(server: ScriptedServer, line: Line) -> None:
        line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.wait_for_end()

    with ScriptedServer(talk) as server, pytest.raises(HubUnreachable):
        get(connections, server.url.replace("http:", "https:"))


def greeted(event: threading.Event) -> Talk:
    """Take the client's first TLS message, say that it came, and nothing else."""

    def talk(server: ScriptedServer, line: Line) -> None:
        line.sock.recv(1)
        event.set()
        line.wait_for_end()

    return talk


def test_a_handshake_that_stalls_is_given_up(impatient: Connections) -> None:
    with ScriptedServer(greeted(threading.Event())) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(HubUnreachable, match="nothing came"):
            get(impatient, url)


def test_a_handshake_that_dribbles_is_given_up(impatient: Connections) -> None:
    def talk(server: ScriptedServer, line: Line) -> None:
        line.sock.recv(65536)
        line.say(b"\x16\x03\x03\x3f\xff")  # the start of a long message
        line.dribble(b"\0")

    with ScriptedServer(talk) as server, pytest.raises(HubUnreachable, match="nothing came"):
        get(impatient, server.url.replace("http:", "https:"))


def test_a_cut_ends_a_handshake(connections: Connections) -> None:
    greeting, lifeline = threading.Event(), Lifeline()
    with ScriptedServer(greeted(greeting)) as server:
        url = server.url.replace("http:", "https:")

        def cut() -> None:
            greeting.wait(20)
            lifeline.cut()

        cutting = threading.Thread(target=cut)
        cutting.start()
        with pytest.raises(HubUnreachable, match="given up"):
            get(connections, url, lifeline)
        cutting.join()


def test_what_was_cut_before_does_not_connect(connections: Connections) -> None:
    lifeline = Lifeline()
    lifeline.cut()
    with ScriptedServer(answering(HELLO)) as server:
        with pytest.raises(HubUnreachable, match="given up"):
            get(connections, server.url, lifeline)
        assert server.connections == 0


# --- proxies ---------------------------------------------------------------------------

PAIR = base64.b64encode(b"user:pass word").decode()


def with_credentials(server: ScriptedServer) -> str:
    return server.url.replace("//", "//user:pass%20word@")


def test_a_plain_request_names_its_whole_address_to_a_proxy(within: Within) -> None:
    with ScriptedServer(answering(HELLO, HELLO)) as proxy:
        connections = within(http_proxy=with_credentials(proxy))
        for _ in range(2):
            assert fetch(connections, "http://hub.example:8080/a%20b?c") == b"hello"

        assert proxy.connections == 1
        assert proxy.requests[0].split("\r\n") == [
            "GET http://hub.example:8080/a%20b?c HTTP/1.1",
            "host: hub.example:8080",
            f"proxy-authorization: Basic {PAIR}",
        ]


def test_a_proxy_may_be_on_the_host_that_is_asked(within: Within) -> None:
    with ScriptedServer(answering(HELLO)) as proxy:
        connections = within(http_proxy=proxy.url)
        fetch(connections, "http://127.0.0.1:9/x")
        assert proxy.requests[0].startswith("GET http://127.0.0.1:9/x HTTP/1.1")


def tunnel(certificates: Certificates, *answers: bytes) -> Talk:
    """A proxy and the server behind it in one."""

    def talk(server: ScriptedServer, line: Line) -> None:
        server.note(line.request())
        line.say(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
        line.start_tls(certificates.server)
        answering(*answers)(server, line)

    return talk


def test_tls_goes_through_a_proxy_as_it_is(within: Within, trusted: Certificates) -> None:
    with ScriptedServer(tunnel(trusted, HELLO, HELLO)) as proxy:
        connections = within(https_proxy=with_credentials(proxy))
        for _ in range(2):
            assert fetch(connections, "https://localhost/x") == b"hello"

        assert [each.split("\r\n") for each in proxy.requests] == [
            [
                "CONNECT localhost:443 HTTP/1.1",
                "host: localhost:443",
                f"proxy-authorization: Basic {PAIR}",
            ],
            ["GET /x HTTP/1.1", "host: localhost"],
            ["GET /x HTTP/1.1", "host: localhost"],
        ]


def test_the_certificate_is_that_of_the_server_not_of_the_proxy(
    within: Within, trusted: Certificates
) -> None:
    with ScriptedServer(tunnel(trusted, HELLO)) as proxy:
        connections = within(https_proxy=proxy.url)
        with pytest.raises(HubUnreachable, match="certificate"):
            get(connections, "https://hub.example/x")
        assert len(proxy.requests) == 1


def test_an_ipv6_address_is_named_to_a_proxy_as_it_should_be(within: Within) -> None:
    with ScriptedServer(answering(reply(502))) as proxy:
        connections = within(https_proxy=proxy.url)
        with pytest.raises(HubUnreachable):
            get(connections, "https://[2001:db8::1]:8443/x")
        assert proxy.requests[0].startswith("CONNECT [2001:db8::1]:8443 HTTP/1.1")


@pytest.mark.parametrize(("status", "hint"), [(407, "user:password@"), (403, ""), (502, "")])
def test_a_proxy_that_refuses_is_named(within: Within, status: int, hint: str) -> None:
    with ScriptedServer(answering(reply(status, b"no"))) as proxy:
        connections = within(https_proxy=with_credentials(proxy))
        with pytest.raises(HubUnreachable) as refused:
            get(connections, "https://hub.example/x")
        assert str(refused.value) == f"the proxy 127.0.0.1:{proxy.port} answered {status}"
        assert hint in refused.value.hint


def test_a_proxy_that_never_ends_its_headers_is_given_up(within: Within) -> None:
    endless = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000
    with ScriptedServer(answering(endless)) as proxy:
        connections = within(https_proxy=proxy.url)
        with pytest.raises(ProtocolViolation):
            get(connections, "https://hub.example/x")


def test_a_proxy_that_cannot_be_reached_is_what_cannot_be_reached(within: Within) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{reserved.getsockname()[1]}"
        connections = within(https_proxy=f"http://user:secret@{place}")
        with pytest.raises(HubUnreachable) as failed:
            get(connections, "https://hub.example/x")
    assert str(failed.value) == f"{place} cannot be reached: Connection refused"


def test_who_needs_no_proxy_is_asked_directly(within: Within) -> None:
    with ScriptedServer(answering(HELLO)) as server, ScriptedServer(answering(HELLO)) as proxy:
        connections = within(http_proxy=proxy.url, no_proxy="127.0.0.1")
        fetch(connections, f"{server.url}/x")
        assert server.requests[0].startswith("GET /x ")
        assert proxy.connections == 0


def test_a_proxy_of_another_kind_is_a_failure_that_says_so(within: Within) -> None:
    connections = within(all_proxy="socks5://proxy.example:1080")
    with pytest.raises(HubUnreachable, match="proxy") as failed:
        get(connections, "https://hub.example/x")
    assert "http://" in failed.value.hint
