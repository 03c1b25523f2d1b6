"""Webhooks: told once, signed, tried again, never to ourselves."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from hubfs.config import ControlSettings
from hubfs.control import webhooks
from hubfs.control.webhooks import check_webhook
from hubfs.errors import UsageError
from tests.control import rig
from tests.localhub import LocalHub
from tests.mount.waiting import wait_until

SECRET = "open sesame"


class Receiver:
    """Whom to tell; answers with the given statuses, then with 204."""

    def __init__(self, *statuses: int) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        left = list(statuses)
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append(({name.lower(): v for name, v in self.headers.items()}, body))
                self.send_response(left.pop(0) if left else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/told?key=k3y"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def control() -> ControlSettings:
    return ControlSettings(webhook_secret=SECRET)


@pytest.fixture
def signing(hub: LocalHub, tmp_path: Path, control: ControlSettings) -> Iterator[rig.Api]:
    with rig.api(hub, tmp_path, control=control) as api:
        yield api


def test_who_asked_is_told_with_a_signature(
    signing: rig.Api, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PAUSES", (0.01, 0.01))
    hub.create_repo("told/model", {"config.json": b"{}"})
    with Receiver(503, 500) as receiver:
        wish = {"repo": "told/model", "webhook": receiver.url}
        job = signing.post("/v1/hub/download", wish)["jobs"][0]
        wait_until(lambda: len(receiver.received) == 3)
    assert len({headers["x-hubfs-delivery"] for headers, _ in receiver.received}) == 1
    headers, body = receiver.received[-1]
    message = headers["x-hubfs-timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    assert headers["x-hubfs-signature"] == f"sha256={expected}"
    told = json.loads(body)
    assert told["event"] == "job.completed"
    assert told["job"]["id"] == job["id"]
    assert b"k3y" not in body
    assert "k3y" not in json.dumps(signing.get(f"/v1/hub/jobs/{job['id']}"))


def test_a_failure_is_told_too(signing: rig.Api) -> None:
    with Receiver() as receiver:
        signing.post("/v1/hub/sync", {"repo": "told/nothing", "webhook": receiver.url})
        wait_until(lambda: receiver.received)
    assert json.loads(receiver.received[0][1])["event"] == "job.failed"


def test_without_a_secret_nobody_is_told(api: rig.Api) -> None:
    answer = api.client.post(
        "/v1/hub/sync", json={"repo": "told/model", "webhook": "http://hub.example/"}
    )
    assert answer.status_code == 422
    assert "HUBFS_WEBHOOK_SECRET" in answer.json()["hint"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hub.example/",
        "http://user:word@hub.example/",
        "http://127.0.0.1:8711/v1/hub/sync",
        "http://localhost:8711/",
        "http://[::1]:8711/",
        "http://hub.example:port/",
        "told",
    ],
)
def test_some_addresses_are_never_told(url: str) -> None:
    settings = ControlSettings("127.0.0.1:8711", webhook_secret=SECRET)
    with pytest.raises(UsageError):
        check_webhook(url, settings)
    check_webhook("https://hub.example:8711/told", settings)
