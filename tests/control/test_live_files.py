"""The small files of `.hubfs`, in a real mount."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubfs.control.sockets import short_address
from tests.localhub import LocalHub
from tests.mount.mounted import Mounted
from tests.mount.waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.timeout(180, method="signal"),
    pytest.mark.skipif(
        not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="there is no /dev/fuse to be opened"
    ),
]


@pytest.fixture(scope="module")
def mounted(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    with Mounted(hub, tmp_path_factory.mktemp("live"), HF_TOKEN="hf_test") as mounted:
        yield mounted


def test_live_files_are_true_at_each_look(mounted: Mounted, hub: LocalHub) -> None:
    root = mounted / ".hubfs"
    assert {each.name for each in root.iterdir()} == {
        "status",
        "status.json",
        "jobs.json",
        "version",
    }
    assert json.loads((root / "jobs.json").read_text())["jobs"] == []
    hub.create_repo("live/model", {"config.json": b"{}", "model.bin": b"m" * 5000})
    mounted.hubfs("prefetch", "live/model", "--cache-dir", mounted.cache)
    jobs = json.loads((root / "jobs.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["completed"]
    status = json.loads((root / "status.json").read_text())
    assert status["mountpoint"] == str(mounted.root)
    assert status["mode"]["reason"] in (root / "status").read_text()
    assert str(mounted.pid) in (root / "status").read_text()
    assert "hf_test" not in (root / "status.json").read_text() + (root / "status").read_text()


def test_any_program_can_read_them(mounted: Mounted) -> None:
    path = mounted / ".hubfs/status.json"
    seen = subprocess.run(["cat", path], capture_output=True, check=True).stdout
    assert json.loads(seen)["endpoint"] == mounted.hub.endpoint
    assert path.stat().st_size > 100
    listing = subprocess.run(["ls", "-l", path.parent], capture_output=True, check=True).stdout
    assert b"status.json" in listing


def test_curl_over_the_socket_does_the_whole_flow(mounted: Mounted, hub: LocalHub) -> None:
    hub.create_repo("curl/model", {"config.json": b"{}", "a.bin": b"a" * 9000, "b.bin": b"b" * 900})

    def curl(method: str, path: str, body: object = None) -> dict[str, object]:
        command = ["curl", "-sS", "--unix-socket", str(_socket(mounted)), "-X", method]
        if body is not None:
            command += ["-H", "content-type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(
            [*command, f"http://hubfs{path}"],
            capture_output=True,
            check=True,
            cwd=mounted.cache,
            timeout=PATIENCE,
        )
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def ended(number: object) -> dict[str, object]:
        wait_until(lambda: curl("GET", f"/v1/hub/jobs/{number}")["state"] == "completed")
        return curl("GET", f"/v1/hub/jobs/{number}")

    known = curl("POST", "/v1/hub/register", {"repo": "curl/model", "auto_sync": True})
    job = known["job"]
    assert isinstance(job, dict)
    assert ended(job["id"])["result"]["files"] == 3  # type: ignore[index]
    wish = {"repo": "curl/model", "include": ["*.bin"]}
    batch = curl("POST", "/v1/hub/download", wish)["jobs"]
    assert isinstance(batch, list)
    done = ended(batch[0]["id"])
    assert done["progress"]["files"] == 2  # type: ignore[index]
    assert done["logs"]
    before = hub.log.content_bytes()
    assert (mounted / "curl/model/a.bin").read_bytes() == b"a" * 9000
    assert hub.log.content_bytes() == before


def test_a_killed_daemon_goes_on_with_its_jobs_when_it_is_mounted_again(
    hub: LocalHub, tmp_path: Path
) -> None:
    size = 24 << 20
    hub.create_repo("killed/model", {"model.bin": random.Random(5).randbytes(size)})
    with Mounted(hub, tmp_path, HF_TOKEN="hf_test") as mounted:
        hub.bandwidth = 2 << 20
        command = ("prefetch", "killed/model", "--background", "--cache-dir", mounted.cache)
        assert "is queued" in mounted.hubfs(*command).stdout
        hub.log.wait_until(lambda log: log.content_bytes("model.bin") > size // 2, PATIENCE)
        mounted.kill()
        hub.log.wait_idle(PATIENCE)
        hub.bandwidth = None
        mounted.mount()

        def job() -> Any:
            return json.loads((mounted / ".hubfs/jobs.json").read_text())["jobs"][0]

        wait_until(lambda: job()["state"] == "completed")
        assert job()["id"] == 1
        # What had come since the last claim, some seconds before, is all that came twice.
        assert hub.log.content_bytes("model.bin") <= 2 * size
        assert (mounted / "killed/model/model.bin").stat().st_size == size


def test_what_answers_is_loaded_when_it_is_asked(hub: LocalHub, tmp_path: Path) -> None:
    with Mounted(hub, tmp_path, HF_TOKEN="hf_test") as mounted:
        mapped = Path(f"/proc/{mounted.pid}/maps")
        assert list(mounted.root.iterdir())
        assert "pydantic_core" not in mapped.read_text()
        assert mounted.hubfs("status", "--cache-dir", mounted.cache).returncode == 0
        assert "pydantic_core" in mapped.read_text()


def test_a_client_that_stops_reading_does_not_keep_the_daemon(
    hub: LocalHub, tmp_path: Path
) -> None:
    with Mounted(hub, tmp_path, HF_TOKEN="hf_test") as mounted:
        reader = socket.socket(socket.AF_UNIX)
        with contextlib.closing(reader), short_address(mounted.cache) as address:
            assert address is not None
            reader.connect(address)
            reader.sendall(b"GET /v1/hub/events HTTP/1.1\r\nhost: hubfs\r\n\r\n")
            assert reader.recv(12) == b"HTTP/1.1 200"
            mounted.umount()
            assert "stuck" not in mounted.log


def _socket(mounted: Mounted) -> Path:
    """Relative to the cache: pytest's directories are longer than a socket's address may be."""
    assert (mounted.cache / "control.sock").is_socket()
    return Path("control.sock")
