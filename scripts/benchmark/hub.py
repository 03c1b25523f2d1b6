"""The local hub of the tests as a process of its own, and what it saw of its clients."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmark.processes import ROOT, CommandFailed, environment, kill
from scripts.benchmark.sources import Source

LONGEST_TO_SETTLE = 60.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the hub answered: all requests, and the bytes of files."""

    requests: int
    content_bytes: int


class Hub:
    """A hub at `endpoint`; `serving` makes and ends one."""

    def __init__(self, process: subprocess.Popen[str], facts: dict[str, Any]) -> None:
        self.process = process
        self.endpoint = str(facts["endpoint"])
        self.ca_file: str | None = facts["ca_file"]

    @property
    def client_environment(self) -> dict[str, str]:
        """What makes clients trust this hub."""
        return {"SSL_CERT_FILE": self.ca_file} if self.ca_file else {}

    def control(self, name: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Ask the control endpoint: GET, or POST with a body."""
        data = None if body is None else json.dumps(body).encode()
        context = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None
        url = f"{self.endpoint}/-/{name}"
        with urllib.request.urlopen(url, data, timeout=600, context=context) as answer:
            return json.load(answer)

    def create_repo(self, repo: str, files: Mapping[str, Source | str]) -> None:
        """Make a repo; a text is the content itself."""
        given = {
            name: {"text": file} if isinstance(file, str) else {"file": str(file.path)}
            for name, file in files.items()
        }
        self.control("create_repo", {"repo_id": repo, "files": given})

    def url(self, repo: str, name: str) -> str:
        """Where any client gets a file."""
        return f"{self.endpoint}/{repo}/resolve/main/{name}"

    @contextlib.contextmanager
    def far_away(self, *, rtt: float, bandwidth: float | None = None) -> Iterator[None]:
        """Within: `rtt` seconds a round trip, `bandwidth` bytes a second and connection."""
        self.control("settings", {"rtt": rtt, "bandwidth": bandwidth})
        try:
            yield
        finally:
            self.control("settings", {"rtt": 0.0, "bandwidth": None})

    def forget_traffic(self) -> None:
        """Count from now."""
        self.traffic()
        self.control("reset-log", {})

    def traffic(self) -> Traffic:
        """What came since `forget_traffic`, once the hub is at rest.

        Raises:
            CommandFailed: it does not come to rest.
        """
        deadline = time.monotonic() + LONGEST_TO_SETTLE
        before: Traffic | None = None
        while time.monotonic() < deadline:
            log = self.control("log")
            now = Traffic(len(log), sum(each["body_bytes"] for each in log if each["is_content"]))
            if now == before and all(each["ended"] for each in log):
                return now
            before = now
            time.sleep(0.5)  # the time in which a client with more to ask would have asked
        raise CommandFailed("the hub does not come to rest: somebody goes on downloading")


@contextlib.contextmanager
def serving(scratch: Path, *, tls: bool = False) -> Iterator[Hub]:
    """A hub without repos, gone afterwards."""
    command = [sys.executable, "-m", "tests.localhub", "serve", *(["--tls"] if tls else [])]
    with (scratch / "hub.log").open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(TMPDIR=str(scratch)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        if not ready:
            raise CommandFailed(f"the local hub did not start, see {scratch}/hub.log")
        yield Hub(process, json.loads(ready))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        kill(process)
