"""Connections, the line's speed, and the log, over both schemes."""

import socket
import ssl
import threading
import time
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.localhub import LocalHub
from tests.localhub.asking import ask
from tests.localhub.samples import CONFIG, WEIGHTS

RAW_CONFIG = "/acme/tiny/raw/main/config.json"


def connect(hub: LocalHub) -> HTTPConnection:
    netloc = urlsplit(hub.endpoint).netloc
    if hub.ca_file is None:
        return HTTPConnection(netloc)
    return HTTPSConnection(netloc, context=ssl.create_default_context(cafile=hub.ca_file))


def get(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def test_a_connection_serves_many_requests(either_hub: LocalHub) -> None:
    connection = connect(either_hub)
    for _ in range(3):
        assert get(connection, RAW_CONFIG) == CONFIG
    connection.close()

    assert [record.connection for record in either_hub.log] == [1, 1, 1]


def test_a_file_on_disk_is_served_from_there(either_hub: LocalHub, tmp_path: Path) -> None:
    data = WEIGHTS * 200
    for name in ("large.bin", "plain.txt"):
        (tmp_path / name).write_bytes(data)
        either_hub.push("acme/tiny", {name: tmp_path / name})
        answer = ask(
            f"{either_hub.endpoint}/acme/tiny/resolve/main/{name}", ca_file=either_hub.ca_file
        )
        url, bounds = answer.location, {"Range": "bytes=1000-3000000"}

        assert ask(url, ca_file=either_hub.ca_file).body == data
        assert ask(url, headers=bounds, ca_file=either_hub.ca_file).body == data[1000:3000001]


def test_a_client_that_does_not_trust_the_authority_is_not_served(
    local_hub_tls: LocalHub,
) -> None:
    with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urlopen(local_hub_tls.endpoint)

    assert len(local_hub_tls.log) == 0


def test_a_hub_that_is_down_refuses_and_comes_back_at_its_ports(hub: LocalHub) -> None:
    idle, endpoints = connect(hub), (hub.endpoint, hub.cdn_endpoint)
    get(idle, RAW_CONFIG)

    hub.down()
    for endpoint in endpoints:
        with pytest.raises(ConnectionRefusedError):
            ask(endpoint)
    assert idle.sock.recv(1) == b""
    idle.close()

    hub.up()
    assert (hub.endpoint, hub.cdn_endpoint) == endpoints
    assert ask(hub.endpoint + RAW_CONFIG).body == CONFIG


def test_a_body_under_way_ends_when_the_hub_goes_down(hub: LocalHub) -> None:
    hub.bandwidth = 10_000
    location = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors").location
    connection = HTTPConnection(urlsplit(location).netloc)
    connection.request("GET", location)
    response = connection.getresponse()
    response.read(100)

    hub.down()

    assert len(response.read1(-1)) < len(WEIGHTS)
    connection.close()
    assert hub.log.all()[-1].is_over


def test_a_client_that_does_not_read_does_not_keep_the_hub_up(
    hub: LocalHub, tmp_path: Path
) -> None:
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(50_000_000)
    hub.push("acme/tiny", {"huge.bin": tmp_path / "huge.bin"})
    location = ask(f"{hub.endpoint}/acme/tiny/resolve/main/huge.bin").location
    connection = HTTPConnection(urlsplit(location).netloc)
    connection.request("GET", location)
    hub.log.wait_until(lambda log: log.content_bytes() > 0)

    hub.down()

    assert hub.log.content_bytes() < 50_000_000
    connection.close()


def test_nothing_is_left_after_the_end() -> None:
    others = set(threading.enumerate())  # of hubs that serve all of the run
    with LocalHub(tls=True) as hub:
        idle = connect(hub)
        get(idle, "/")
    idle.close()

    left = set(threading.enumerate()) - others
    assert not [one for one in left if one.name.startswith("localhub")]
    assert hub.ca_file
    assert not hub.ca_file.parent.exists()


def test_a_taken_port_leaves_nothing_either(local_hub: LocalHub) -> None:
    taken = urlsplit(local_hub.endpoint).port or 0
    second = LocalHub(tls=True, port=taken)

    with pytest.raises(OSError, match="in use"):
        second.open()
    assert second.ca_file
    assert not second.ca_file.parent.exists()


def test_round_trips_are_paid_for(either_hub: LocalHub) -> None:
    either_hub.rtt = 0.02
    connection, began = connect(either_hub), time.monotonic()
    get(connection, RAW_CONFIG)
    first, again = time.monotonic() - began, time.monotonic()
    get(connection, RAW_CONFIG)
    second = time.monotonic() - again
    connection.close()

    round_trips = 3 if either_hub.ca_file else 2
    assert first >= round_trips * 0.02
    assert second >= 0.02


def test_a_connection_gets_its_bandwidth_and_no_more(either_hub: LocalHub) -> None:
    url = f"{either_hub.endpoint}/acme/tiny/resolve/main/model.safetensors"
    location = ask(url, ca_file=either_hub.ca_file).location
    either_hub.bandwidth = len(WEIGHTS) * 5
    began = time.monotonic()

    assert ask(location, ca_file=either_hub.ca_file).body == WEIGHTS

    # The last piece is under way when its time begins.
    assert time.monotonic() - began >= 0.2 - 0.05


def test_a_request_in_pieces_and_two_at_once_are_understood(hub: LocalHub) -> None:
    netloc = urlsplit(hub.endpoint)
    request = f"GET {RAW_CONFIG} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.create_connection((netloc.hostname or "", netloc.port or 0)) as sock:
        sock.sendall(request[:20])
        sock.sendall(request[20:] + request)
        received = b""
        while received.count(CONFIG) < 2:
            received += sock.recv(65536)

    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_what_is_no_http_ends_the_connection(hub: LocalHub) -> None:
    netloc = urlsplit(hub.endpoint)
    with socket.create_connection((netloc.hostname or "", netloc.port or 0)) as sock:
        sock.sendall(b"nonsense\r\n\r\n")

        assert sock.recv(1) == b""


def test_the_log_tells_what_was_asked_and_delivered(hub: LocalHub) -> None:
    headers = {
        "Authorization": "Bearer hf_test",
        "User-Agent": "me/1",
        "Accept-Encoding": "identity",
    }
    location = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors", headers=headers)
    ask(location.location, headers={"Range": "bytes=5-14"})
    hub.log.wait_idle()

    first, second = hub.log
    assert (first.origin, first.method, first.status) == ("hub", "GET", 302)
    assert first.authorization == "Bearer hf_test"
    assert (first.user_agent, first.accept_encoding) == ("me/1", "identity")
    assert (second.origin, second.range, second.status) == ("cdn", "bytes=5-14", 206)
    assert (second.repo, second.path) == ("acme/tiny", "model.safetensors")
    assert (second.body_bytes, second.is_content) == (10, True)
    assert first.ended is not None
    assert first.started <= first.ended
    assert hub.log.content_bytes() == hub.log.content_bytes("model.safetensors") == 10
    assert hub.log.content_bytes("acme/tiny/config.json") == 0
    assert hub.log.requests(origin="cdn") == [second]
    assert hub.log.requests(path_contains="resolve", method="GET", status=302) == [first]
    hub.log.clear()
    assert list(hub.log) == []


def test_the_log_can_be_kept_in_a_file(tmp_path: Path) -> None:
    with LocalHub(log_file=tmp_path / "log") as hub:
        ask(hub.endpoint)
        hub.log.wait_idle()
        ask(hub.cdn_endpoint)
        hub.log.wait_idle()

    lines = (tmp_path / "log").read_text().splitlines()
    assert ['"origin": "hub"' in line for line in lines] == [True, False]


def test_waiting_for_what_does_not_come_ends(hub: LocalHub) -> None:
    with pytest.raises(TimeoutError):
        hub.log.wait_until(lambda log: len(log) > 0, seconds=0.01)
