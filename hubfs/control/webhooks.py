"""Who asked is told when a job has ended: a signed POST, tried again for a while.

The body is JSON, `{"event": "job.completed", "job": {...}}`. What proves it:

    X-Hubfs-Timestamp: seconds since the epoch
    X-Hubfs-Signature: sha256=HEX, the HMAC-SHA256 of `TIMESTAMP.BODY` under the secret

Redirects are not followed, and no token of the Hub is in it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx
import trio

from hubfs.config import ControlSettings
from hubfs.config.addresses import DEFAULT_PORTS, checked_webhook, parse_address
from hubfs.control.guards import is_loopback
from hubfs.errors import UsageError
from hubfs.hub.tls import tls_context
from hubfs.jobs.queue import JobQueue
from hubfs.jobs.states import JobState
from hubfs.store.records import JobRecord

log = logging.getLogger(__name__)

PAUSES: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
TIMEOUT: Final = 15.0
MOST_AT_ONCE: Final = 8
_TOLD: Final = frozenset({JobState.COMPLETED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one address."""

    url: str
    body: bytes
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def headers(self, secret: str, now: int) -> dict[str, str]:
        """What goes with the body at an attempt made `now`."""
        return {
            "content-type": "application/json",
            "user-agent": "hubfs-webhook",
            "x-hubfs-delivery": self.id,
            "x-hubfs-timestamp": str(now),
            "x-hubfs-signature": signature_of(self.body, secret, now),
        }


def signature_of(body: bytes, secret: str, now: int) -> str:
    """What proves that the holder of `secret` sent `body` at `now`."""
    message = str(now).encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def body_of(record: JobRecord) -> bytes:
    """The message about a job that has ended: its facts, and no address or secret of anyone's."""
    job = {
        "id": record.id,
        "batch": record.batch,
        "kind": record.kind,
        "state": record.state,
        "arguments": record.arguments,
        "files": record.files,
        "bytes": record.size,
        "failed": record.failed,
        "failures": record.failures,
        "error": record.error,
        "result": record.result,
        "ended_at": record.ended_at,
    }
    return json.dumps({"event": f"job.{record.state}", "job": job}).encode()


def check_webhook(url: str, settings: ControlSettings) -> None:
    """See that `url` may be told.

    Raises:
        UsageError: it is no clean address, it is the daemon's own, or nothing would prove the
            message.
    """
    parts = urlsplit(checked_webhook(url))
    if not settings.webhook_secret:
        hint = "set webhook_secret in a configuration file, or HUBFS_WEBHOOK_SECRET"
        hint += "; for a daemon, where it starts"
        raise UsageError(
            "messages to a webhook are signed, and webhook_secret is not set", hint=hint
        )
    if settings.http:
        host, own_port = parse_address(settings.http)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        is_here = parts.hostname == host or is_loopback(parts.hostname or "")
        if is_here and port == own_port:
            hint = f"http is {settings.http}: name another address"
            raise UsageError("a webhook must not lead to the daemon itself", hint=hint)


class Webhooks:
    """A service: tells of every job that ends while it runs."""

    def __init__(self, jobs: JobQueue, settings: ControlSettings) -> None:
        self._jobs = jobs
        self._settings = settings
        self._under_way = 0
        self._told = trio.Event()
        self._limiter = trio.CapacityLimiter(MOST_AT_ONCE)

    async def wait_until_idle(self) -> None:
        """Wait until everyone who is to be told so far has been, or was given up."""
        await trio.lowlevel.checkpoint()  # let what has ended just now be seen
        while self._under_way:
            await self._told.wait()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        if not self._settings.webhook_secret:  # nobody is told of anything
            task_status.started()
            await trio.sleep_forever()
        async with (
            httpx.AsyncClient(verify=tls_context(), timeout=TIMEOUT) as client,
            trio.open_nursery() as nursery,
        ):
            with self._jobs.watching() as watcher:
                task_status.started()
                while True:
                    for record in await watcher.changes():
                        for each in self._deliveries(record):
                            self._under_way += 1
                            nursery.start_soon(self._deliver, client, each)

    def _deliveries(self, record: JobRecord) -> list[Delivery]:
        if record.state not in _TOLD:
            return []
        urls = dict.fromkeys(url for url in (record.webhook, self._settings.webhook) if url)
        return [Delivery(url, body_of(record)) for url in urls]

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        where = urlsplit(delivery.url).hostname  # the rest of an address may be a secret
        try:
            for pause in (*PAUSES, None):
                reason = await self._attempt(client, delivery)
                if not reason:
                    return
                if pause is None:
                    log.warning("the webhook at %s was not told: %s", where, reason)
                    return
                log.info("the webhook at %s: %s; trying again in %.0f s", where, reason, pause)
                await trio.sleep(pause)
        finally:
            self._under_way -= 1
            self._told.set()
            self._told = trio.Event()

    async def _attempt(self, client: httpx.AsyncClient, delivery: Delivery) -> str:
        """Try once; return why it failed, or nothing."""
        headers = delivery.headers(self._settings.webhook_secret, int(time.time()))
        async with self._limiter:
            try:
                answer = await client.post(delivery.url, content=delivery.body, headers=headers)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                return str(error) or type(error).__name__
        return "" if answer.is_success else f"it answers {answer.status_code}"
