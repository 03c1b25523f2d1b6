"""TLS, proxies, and servers that are no Hub."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.localhub.fixtures import local_hub_tls
from tests.mount.conftest import TOKEN, Mount
from tests.mount.looking import errno_of
from tests.mount.mounted import Mounted
from tests.mount.proxy import Proxy, proxying

__all__ = ["local_hub_tls"]

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 5000}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxying() as proxy:
        yield proxy


def check_all_works(mounted: Mounted) -> None:
    mounted.hub.create_repo("acme/guarded", FILES, private=True)
    for name, data in FILES.items():
        assert (mounted / "acme/guarded" / name).read_bytes() == data


def test_a_hub_behind_a_certificate_of_ones_own(mount: Mount, local_hub_tls: LocalHub) -> None:
    """`https` endpoints work; SSL_CERT_FILE names the certificates to trust."""
    ca_file = str(local_hub_tls.ca_file)
    check_all_works(mount(hub=local_hub_tls, SSL_CERT_FILE=ca_file, HF_TOKEN=TOKEN))


def test_certificates_may_be_in_a_directory(
    mount: Mount, local_hub_tls: LocalHub, tmp_path: Path
) -> None:
    """SSL_CERT_DIR names a directory of certificates, each by the hash that openssl looks for."""
    ca_file = local_hub_tls.ca_file
    asked = ["openssl", "x509", "-noout", "-hash", "-in", str(ca_file)]
    name = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / f"{name}.0").symlink_to(str(ca_file))
    check_all_works(mount(hub=local_hub_tls, SSL_CERT_DIR=str(tmp_path), HF_TOKEN=TOKEN))


def test_a_certificate_that_nobody_vouches_for_is_refused(
    mount: Mount, local_hub_tls: LocalHub
) -> None:
    local_hub_tls.create_repo("acme/open", FILES)
    mounted = mount(hub=local_hub_tls)
    assert errno_of((mounted / "acme/open").stat) == "EIO"
    assert "certificate verify failed" in mounted.log.lower()
    assert len(local_hub_tls.log) == 0


def test_every_request_takes_the_proxy_that_is_named(
    mount: Mount, hub: LocalHub, proxy: Proxy
) -> None:
    """`http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` are obeyed."""
    check_all_works(mount(http_proxy=proxy.url, HF_TOKEN=TOKEN))
    assert len(proxy.targets) == len(hub.log) > 0
    assert all(target.startswith("GET http://127.0.0.1:") for target in proxy.targets)


def test_a_tls_hub_is_reached_through_a_tunnel(
    mount: Mount, local_hub_tls: LocalHub, proxy: Proxy
) -> None:
    ca_file = str(local_hub_tls.ca_file)
    environment = {"SSL_CERT_FILE": ca_file, "https_proxy": proxy.url, "HF_TOKEN": TOKEN}
    check_all_works(mount(hub=local_hub_tls, **environment))
    origins = (local_hub_tls.endpoint, local_hub_tls.cdn_endpoint)
    places = {origin.removeprefix("https://") for origin in origins}
    assert set(proxy.targets) == {f"CONNECT {place}" for place in places}


def test_a_proxy_is_told_the_credentials_in_its_address(
    mount: Mount, hub: LocalHub, proxy: Proxy
) -> None:
    named = proxy.url.replace("http://", "http://me:p%40ss@")
    mounted = mount(http_proxy=named, HF_TOKEN=TOKEN)
    check_all_works(mounted)
    assert proxy.credentials == {"Basic " + base64.b64encode(b"me:p@ss").decode()}
    assert "p%40ss" not in mounted.log
    assert "p@ss" not in mounted.log


def test_a_proxy_may_be_passed_by(mount: Mount, hub: LocalHub, proxy: Proxy) -> None:
    environment = {"all_proxy": proxy.url, "no_proxy": "127.0.0.1", "HF_TOKEN": TOKEN}
    check_all_works(mount(**environment))
    assert proxy.targets == []


def test_a_proxy_that_is_down_is_an_outage(mount: Mount, hub: LocalHub) -> None:
    hub.create_repo("acme/open", FILES)
    mounted = mount(http_proxy="http://127.0.0.1:9")
    assert errno_of((mounted / "acme/open").stat) == "EIO"
    assert len(hub.log) == 0


class Stranger(ThreadingHTTPServer):
    """Answers everything with the same."""

    status, body = 200, b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _StrangeHandler)


class _StrangeHandler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


NONSENSE = [
    (200, b"<html>Log in to the airport's network</html>"),
    (200, b"{}"),
    (200, b"[]"),
    (200, b'[{"id": 5}]'),
    (200, b'{"id": "../../etc", "sha": "x"}'),
    (200, b"null"),
    (200, b"\xff\xfe"),
    (200, b""),
    (403, b"<html>Blocked</html>"),
    (500, b"oops"),
    (302, b""),
]


def test_an_endpoint_that_is_no_hub_has_no_repos(mount: Mount) -> None:
    """An endpoint that is no Hub mounts all the same, and every name in it is an error."""
    with Stranger() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            mounted = mount("--endpoint", f"http://127.0.0.1:{server.server_port}")
            for number, (status, body) in enumerate(NONSENSE):
                server.status, server.body = status, body
                place = ("", "datasets/")[number % 2]
                path = mounted / f"{place}org{number}/name/config.json"
                assert errno_of(path.stat) in {"EIO", "ENOENT", "EACCES"}, body
        finally:
            server.shutdown()
            thread.join()
    assert "is not JSON" in mounted.log
