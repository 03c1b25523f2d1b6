"""The page in a real browser: Debian's chromium, driven over its own protocol's pipe."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hubfs.config import ControlSettings
from tests.control import rig
from tests.control.test_guards import free_port
from tests.localhub import LocalHub
from tests.mount.waiting import wait_until

CHROMIUM = shutil.which("chromium")
MIB = 1 << 20

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


class Browser:
    """One page. Commands are JSON between NULs, on descriptors 3 and 4 of the browser."""

    def __init__(self, scratch: Path) -> None:
        to_browser, self._writing = os.pipe()
        reading, from_browser = os.pipe()
        self._reading = os.fdopen(reading, "rb", buffering=0)
        self._left = b""
        self._number = 0
        # A socket is made there, whose path must be short; who is killed does not clean up.
        self._temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        assert CHROMIUM is not None
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        flags += [f"--user-data-dir={scratch}", "--disable-dev-shm-usage", "--window-size=390,844"]
        wrapper = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", wrapper, CHROMIUM, *flags, "about:blank"],
            pass_fds=[to_browser, from_browser],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": self._temporary.name},
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attach = {"targetId": page, "flatten": True}
        self._session = self.ask("Target.attachToTarget", **attach)["sessionId"]

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> Any:
        while b"\0" not in self._left:
            part = self._reading.read(1 << 16)
            assert part, "the browser has ended"
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def go(self, url: str) -> None:
        self.ask("Page.navigate", self._session, url=url)

    def run(self, script: str) -> Any:
        answer = self.ask("Runtime.evaluate", self._session, expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        found: str = self.run("document.body ? document.body.innerText : ''")
        return found

    def screenshot(self) -> bytes:
        return base64.b64decode(self.ask("Page.captureScreenshot", self._session)["data"])

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._writing)
        self._reading.close()
        self._temporary.cleanup()


@contextmanager
def browsing(scratch: Path) -> Iterator[Browser]:
    browser = Browser(scratch)
    try:
        yield browser
    finally:
        browser.close()


def test_the_page_shows_three_downloads_and_steers_them(hub: LocalHub, tmp_path: Path) -> None:
    port = free_port()
    for number in range(3):
        data = random.Random(number).randbytes(6 * MIB)
        hub.create_repo(f"page/model{number}", {"model.safetensors": data, "config.json": b"{}"})
    control = ControlSettings(f"127.0.0.1:{port}", "t0ken")
    with rig.api(hub, tmp_path, control=control) as api, browsing(tmp_path / "browser") as browser:
        hub.bandwidth = MIB // 8
        jobs = [
            api.post("/v1/hub/download", {"repo": f"page/model{number}"})["jobs"][0]["id"]
            for number in range(3)
        ]
        browser.go(f"http://127.0.0.1:{port}/")
        wait_until(lambda: "a token is needed" in browser.text)
        assert "enter" in browser.text
        browser.run("document.getElementById('token').value = 't0ken'")
        browser.run("document.getElementById('entry').requestSubmit()")
        wait_until(lambda: browser.text.count("running") >= 2)
        assert "enter" not in browser.text
        wait_until(lambda: "MiB/s" in browser.text or "KiB/s" in browser.text)
        assert "pending" in browser.text  # two at a time
        assert len(browser.screenshot()) > 5000
        # Nothing sticks out of a phone's screen.
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        browser.run(_click("log"))
        browser.run(_click("cancel"))
        wait_until(lambda: "cancelled" in browser.text)
        assert api.get(f"/v1/hub/jobs/{jobs[2]}")["state"] == "cancelled"
        hub.bandwidth = None
        wait_until(lambda: browser.text.count("completed") >= 2)
        assert "page/model0" in browser.text
        assert " taken, 0 B pinned" in browser.text
        browser.run(_click("pin"))
        wait_until(lambda: "unpin" in browser.text and "0 B pinned" not in browser.text)
        assert [pin["repo"] for pin in api.get("/v1/hub/pins")["pins"]] == ["page/model0"]
        browser.run(_click("unpin"))
        wait_until(lambda: "unpin" not in browser.text)
        assert api.get("/v1/hub/pins")["pins"] == []


def _click(label: str) -> str:
    return f"[...document.querySelectorAll('button')].find(b => b.innerText == '{label}').click()"
