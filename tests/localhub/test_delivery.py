"""What arrives when a fault strikes, and that the log says the same; over both schemes."""

import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead, RemoteDisconnected
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.localhub import Fault, LocalHub, Record
from tests.localhub.asking import Answer, ask
from tests.localhub.samples import WEIGHTS, api


def location_of(hub: LocalHub, name: str = "model.safetensors") -> str:
    return ask(f"{hub.endpoint}/acme/tiny/resolve/main/{name}", ca_file=hub.ca_file).location


def fetch(hub: LocalHub, url: str, bounds: str | None = None) -> Answer:
    return ask(url, headers={"Range": bounds} if bounds else None, ca_file=hub.ca_file)


@contextmanager
def connected(hub: LocalHub, url: str) -> Iterator[socket.socket]:
    """Ask for `url`, and hold the connection before anything is read."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as plain:
        sock: socket.socket = plain
        if hub.ca_file:
            context = ssl.create_default_context(cafile=hub.ca_file)
            sock = context.wrap_socket(
                plain, server_hostname=parts.hostname, suppress_ragged_eofs=False
            )
        with sock:
            sock.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            yield sock


def read_body(sock: socket.socket, length: int | None = None) -> bytes:
    """Read a body to its length, or to the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536)
    body = received.partition(b"\r\n\r\n")[2]
    while length is None or len(body) < length:
        data = sock.recv(65536)
        if not data:
            return body
        body += data
    return body


def last_record(hub: LocalHub) -> Record:
    hub.log.wait_idle()
    return hub.log.all()[-1]


def test_a_reset_comes_after_exactly_so_many_bytes(either_hub: LocalHub) -> None:
    either_hub.faults.add(Fault("reset_after", at=5000, origin="cdn"))
    with connected(either_hub, location_of(either_hub)) as sock:
        assert read_body(sock, 5000) == WEIGHTS[:5000]
        # Python 3.11 reports ECONNRESET below TLS as an unexpected end.
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            sock.recv(1)

    record = last_record(either_hub)
    assert (record.fault, record.body_bytes) == ("reset_after", 5000)


def test_a_short_body_ends_without_an_error(hub: LocalHub) -> None:
    hub.faults.add(Fault("short_body", at=5000, path="*.safetensors"))
    with connected(hub, location_of(hub)) as sock:
        assert read_body(sock) == WEIGHTS[:5000]

    assert last_record(hub).body_bytes == 5000


def test_a_short_body_is_noticed_by_its_length(either_hub: LocalHub) -> None:
    location = location_of(either_hub)
    either_hub.faults.add(Fault("short_body", at=5000))

    # Under TLS the end comes without a goodbye, as from a server that crashed.
    with pytest.raises((IncompleteRead, ssl.SSLEOFError)):
        fetch(either_hub, location)


def test_a_stall_may_last_until_the_client_leaves(either_hub: LocalHub) -> None:
    either_hub.faults.add(Fault("stall_after", at=5000, seconds=None, origin="cdn"))
    with connected(either_hub, location_of(either_hub)) as sock:
        assert read_body(sock, 5000) == WEIGHTS[:5000]
        assert not select.select([sock], [], [], 0.01)[0]
        assert not either_hub.log.all()[-1].is_over

    assert last_record(either_hub).body_bytes == 5000


def test_a_stall_may_end(either_hub: LocalHub) -> None:
    either_hub.faults.add(Fault("stall_after", at=5000, seconds=0.05, origin="cdn"))
    location, began = location_of(either_hub), time.monotonic()

    assert fetch(either_hub, location).body == WEIGHTS
    assert time.monotonic() - began >= 0.05


def test_a_head_may_be_late(hub: LocalHub) -> None:
    hub.faults.add(Fault("slow_headers", seconds=0.05))
    began = time.monotonic()

    assert api(hub, "acme/tiny").status == 200
    assert time.monotonic() - began >= 0.05


def test_a_connection_may_end_without_an_answer(either_hub: LocalHub) -> None:
    either_hub.faults.add(Fault("close_before_answer"))

    with pytest.raises((RemoteDisconnected, ssl.SSLEOFError)):
        fetch(either_hub, f"{either_hub.endpoint}/api/models/acme/tiny")
    record = last_record(either_hub)
    assert (record.status, record.fault) == (0, "close_before_answer")


def test_a_range_may_be_ignored(either_hub: LocalHub) -> None:
    location = location_of(either_hub)
    either_hub.faults.add(Fault("ignore_range"))

    ignored = fetch(either_hub, location, "bytes=5-9")
    assert (ignored.status, ignored.body) == (200, WEIGHTS)
    assert fetch(either_hub, location, "bytes=5-9").body == WEIGHTS[5:10]


def test_bytes_may_be_wrong_and_their_length_right(either_hub: LocalHub) -> None:
    location = location_of(either_hub)
    either_hub.faults.add(Fault("corrupt", at=1000))

    body = fetch(either_hub, location).body

    assert [at for at in range(len(WEIGHTS)) if body[at] != WEIGHTS[at]] == [1000]
    assert len(body) == len(WEIGHTS)


def test_a_burst_of_errors_passes(hub: LocalHub) -> None:
    hub.faults.add(Fault("status", status=503, times=2), Fault("status", status=502))

    assert [api(hub, "acme/tiny").status for _ in range(4)] == [503, 503, 502, 200]


def test_a_scripted_rate_limit_says_when_to_come_back(hub: LocalHub) -> None:
    limit = {"RateLimit": '"api";r=0;t=2', "Retry-After": "2"}
    hub.faults.add(Fault("status", status=429, headers=limit))

    answer = api(hub, "acme/tiny")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    assert answer.headers.get_all("RateLimit") == ['"api";r=0;t=2']


def test_a_signature_may_be_refused_once(hub: LocalHub) -> None:
    location = location_of(hub)
    hub.faults.add(Fault("expired", origin="cdn"))

    assert [fetch(hub, location).status for _ in range(2)] == [403, 200]


def test_a_redirect_may_lead_nowhere(hub: LocalHub) -> None:
    hub.faults.add(Fault("redirect_loop", path="acme/tiny/config.json", times=None))
    url = f"{hub.endpoint}/acme/tiny/resolve/main/config.json"

    assert fetch(hub, url).location == url


def test_listings_can_be_compressed_without_being_asked(hub: LocalHub) -> None:
    hub.faults.add(Fault("gzip", path="/api/models/*/tree/*"))

    answer = api(hub, "acme/tiny/tree/main")

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] is None


def test_what_a_client_left_behind_is_not_counted(either_hub: LocalHub, tmp_path: Path) -> None:
    """An aborted download counts what the client's kernel had confirmed."""
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(200_000_000)
    either_hub.push("acme/tiny", {"huge.bin": tmp_path / "huge.bin"})
    location = location_of(either_hub, "huge.bin")
    with connected(either_hub, location) as sock:
        read_body(sock, 1000)

    record = last_record(either_hub)
    assert 1000 <= record.body_bytes < 50_000_000


def test_an_answer_that_was_sent_but_not_taken_is_corrected(hub: LocalHub) -> None:
    """The body fits the kernel's buffers: the server learns of the abort afterwards."""
    hub.push("acme/tiny", {"medium.bin": bytes(1_500_000)})
    location = location_of(hub, "medium.bin")
    parts = urlsplit(location)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        sock.connect((parts.hostname or "", parts.port or 0))
        sock.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        read_body(sock, 1)

    hub.log.wait_until(lambda log: 0 < log.all()[-1].body_bytes < 200_000)


def test_a_client_that_takes_everything_is_counted_in_full(either_hub: LocalHub) -> None:
    location = location_of(either_hub)
    for _ in range(3):
        fetch(either_hub, location)

    either_hub.close()  # every connection has ended: nothing is corrected any more
    assert either_hub.log.content_bytes("model.safetensors") == 3 * len(WEIGHTS)
