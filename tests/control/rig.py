"""An engine without a mount that answers the control API, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from hubfs.config import ControlSettings, FetchSettings, Settings
from hubfs.control.roles import Role
from hubfs.control.sockets import short_address
from hubfs.daemon.worker import Worker
from tests.localhub import LocalHub
from tests.mount.waiting import wait_until

_PLAIN = ControlSettings()


@dataclass
class Api:
    """A client of a running engine."""

    client: httpx.Client
    cache: Path

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 202) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    def ended(self, number: int) -> Any:
        """Poll a job until it has ended, as scripts do."""

        def has_ended() -> bool:
            state = self.get(f"/v1/hub/jobs/{number}")["state"]
            return state in {"completed", "failed", "cancelled"}

        wait_until(has_ended)
        return self.get(f"/v1/hub/jobs/{number}")


@contextmanager
def api(hub: LocalHub, scratch: Path, *, control: ControlSettings = _PLAIN) -> Iterator[Api]:
    """An engine for `hub` with a cache of its own."""
    settings = Settings(
        None, scratch / "cache", hub.endpoint, fetch=FetchSettings(), control=control
    )
    with Worker(settings, Role.COMMAND), short_address(settings.cache_dir) as address:
        assert address is not None
        transport = httpx.HTTPTransport(uds=address)
        with httpx.Client(transport=transport, base_url="http://hubfs", timeout=60) as client:
            yield Api(client, settings.cache_dir)
