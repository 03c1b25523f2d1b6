"""The Hub as a process of its own, and its control endpoint."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.localhub.asking import ask, follow

ROOT = Path(__file__).parents[2]


@contextmanager
def served(*words: str) -> "Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]":
    command = [sys.executable, "-m", "tests.localhub", "serve", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, next_line(process)
        finally:
            process.terminate()
    assert process.returncode == 0


def next_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def post(endpoint: str, name: str, body: object = None) -> Any:
    answer = ask(f"{endpoint}/-/{name}", "POST", body=json.dumps(body).encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "repo/sub").mkdir(parents=True)
    (tmp_path / "repo/sub/model.bin").write_bytes(b"weights")
    (tmp_path / "repo/config.json").write_bytes(b"{}")
    return tmp_path / "repo"


def test_directories_are_served_as_repos_of_each_kind(directory: Path, tmp_path: Path) -> None:
    given = ["--repo", f"a/b={directory}", "--dataset", f"a/d={directory}"]
    log = tmp_path / "log"
    with served(*given, "--space", f"a/s={directory}", "--log", str(log)) as (_, facts):
        for prefix in ("a/b", "datasets/a/d", "spaces/a/s"):
            url = f"{facts['endpoint']}/{prefix}/resolve/main/sub/model.bin"
            assert follow(url).body == b"weights"

    assert len(log.read_text().splitlines()) == 6


def test_it_can_speak_tls_and_ask_for_a_token(directory: Path) -> None:
    with served("--tls", "--token", "hf_x", "--repo", f"a/b={directory}") as (_, facts):
        ca_file, url = Path(facts["ca_file"]), f"{facts['endpoint']}/api/whoami-v2"
        assert ask(url, ca_file=ca_file).status == 401
        assert ask(url, headers={"Authorization": "Bearer hf_x"}, ca_file=ca_file).status == 200

    assert not ca_file.exists()


def test_it_is_scripted_over_its_control_endpoint(directory: Path) -> None:
    with served("--repo", f"a/b={directory}") as (_, facts):
        endpoint = facts["endpoint"]
        files = {
            "new.txt": {"text": "new"},
            "new.bin": {"base64": "AAEC"},
            "copy.bin": {"file": str(directory / "sub/model.bin")},
            "config.json": None,
        }
        commit = post(endpoint, "push", {"repo_id": "a/b", "files": files})
        post(endpoint, "create_repo", {"repo_id": "a/c", "kind": "dataset"})
        for name, data in (("new.txt", b"new"), ("new.bin", b"\0\1\2"), ("copy.bin", b"weights")):
            assert follow(f"{endpoint}/a/b/resolve/{commit}/{name}").body == data
        assert follow(f"{endpoint}/a/b/resolve/main/config.json").status == 404
        assert ask(f"{endpoint}/api/datasets/a/c").status == 200


def test_its_log_faults_and_settings_are_at_hand(directory: Path) -> None:
    with served("--repo", f"a/b={directory}", "--rtt", "0.001") as (_, facts):
        endpoint = facts["endpoint"]
        post(endpoint, "faults", [{"action": "status", "status": 502}])
        assert json.loads(ask(f"{endpoint}/-/faults").body)[0]["status"] == 502
        assert ask(f"{endpoint}/api/models/a/b").status == 502
        assert post(endpoint, "settings", {"bandwidth": 1e9})["rtt"] == 0.001
        log = json.loads(ask(f"{endpoint}/-/log").body)
        assert [(record["status"], record["fault"]) for record in log] == [(502, "status")]
        post(endpoint, "reset-log")
        assert json.loads(ask(f"{endpoint}/-/log").body) == []
        assert ask(f"{endpoint}/-/nonsense").status == 404


def test_signals_take_it_down_and_up(directory: Path) -> None:
    with served("--repo", f"a/b={directory}") as (process, facts):
        process.send_signal(signal.SIGUSR1)
        assert next_line(process) == {"state": "down"}
        with pytest.raises(ConnectionRefusedError):
            ask(facts["endpoint"])
        process.send_signal(signal.SIGUSR2)
        assert next_line(process) == {"state": "up"}
        assert ask(f"{facts['endpoint']}/api/models/a/b").status == 200


def test_it_stops_on_an_interrupt_while_clients_are_connected(directory: Path) -> None:
    with served("--repo", f"a/b={directory}") as (process, facts):
        post(facts["endpoint"], "faults", [{"action": "slow_headers", "seconds": None}])
        asking = subprocess.Popen(["curl", "--silent", facts["endpoint"]])
        process.send_signal(signal.SIGINT)
        assert asking.wait() in {7, 52, 56}  # refused, no answer, reset


def test_a_directory_that_is_not_there_is_named() -> None:
    command = [sys.executable, "-m", "tests.localhub", "serve", "--repo", "a/b=/nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "/nowhere" in done.stderr
