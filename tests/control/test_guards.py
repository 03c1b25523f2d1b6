"""Who may come in by TCP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from hubfs.config import ControlSettings
from hubfs.control.guards import TcpRules
from hubfs.errors import UsageError
from tests.control import rig
from tests.localhub import LocalHub
from tests.mount.waiting import PATIENCE

JSON = {"content-type": "application/json"}


def get(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask as a stranger does, with patience: the machine may be busy."""
    return httpx.get(url, headers=headers, timeout=PATIENCE)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def base(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an engine that serves TCP with a token."""
    port = free_port()
    control = ControlSettings(f"127.0.0.1:{port}", "s3cret")
    scratch: Path = tmp_path_factory.mktemp("tcp")
    with rig.api(hub, scratch, control=control):
        yield f"http://127.0.0.1:{port}"


def test_the_token_opens_and_nothing_else(base: str) -> None:
    url = f"{base}/v1/hub/status"
    assert get(url).status_code == 401
    assert get(url, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert get(url, headers={"authorization": "Basic s3cret"}).status_code == 401
    right = {"authorization": "Bearer s3cret"}
    assert get(url, headers=right).status_code == 200
    assert "s3cret" not in get(url, headers=right).text
    assert get(f"{base}/healthz").status_code == 200


def test_a_name_that_another_site_chose_is_turned_away(base: str) -> None:
    for host in ("evil.example", "evil.example:8711", "[", ""):
        answer = get(f"{base}/healthz", headers={"host": host})
        assert answer.status_code in {400, 421}, host


def test_another_sites_page_changes_nothing(base: str) -> None:
    right = {"authorization": "Bearer s3cret"}
    for foreign in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = httpx.post(f"{base}/v1/hub/jobs/1/retry", headers=right | foreign)
        assert answer.status_code == 403
    own = right | {"origin": base, "sec-fetch-site": "same-origin"}
    assert httpx.post(f"{base}/v1/hub/jobs/1/retry", headers=own).status_code == 404
    assert "access-control-allow-origin" not in get(f"{base}/healthz").headers


def test_the_page_needs_nothing_from_elsewhere(base: str) -> None:
    answer = get(f"{base}/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://127.0.0.1", "")
    assert "https://" not in answer.text
    assert "innerHTML" not in answer.text


def test_beyond_this_machine_a_token_is_needed() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "hub.example"):
        with pytest.raises(UsageError):
            TcpRules(host)
        TcpRules(host, "token")
    TcpRules("127.0.0.1")
    TcpRules("::1")


def test_beyond_this_machine_addresses_are_good_names_and_names_are_not() -> None:
    rules = TcpRules("0.0.0.0", "t")
    headers = {b"authorization": b"Bearer t"}
    for host, is_good in ((b"192.0.2.7:8711", True), (b"evil.example", False), (b"[::1]:1", True)):
        refusal = rules.find_refusal("GET", "/metrics", headers | {b"host": host})
        assert (refusal is None) is is_good, host
