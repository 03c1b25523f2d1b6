"""The earlier service's flow by commands alone: with a daemon, and without one."""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import socket
import subprocess
from contextlib import nullcontext

import pytest

from hubfs.jobs.states import MOST_ATTEMPTS
from tests.cli.shell import FILES, MIB, WEIGHTS, Shell, left_behind
from tests.localhub import LocalHub
from tests.mount.mounted import HUBFS
from tests.mount.waiting import PATIENCE, wait_until


def test_the_flow_without_a_daemon(shell: Shell, hub: LocalHub) -> None:
    assert "acme/model at " in shell.run("register", "acme/model")
    listing = {file["path"]: file for file in shell.json("ls", "acme/model")["listing"]}
    assert listing["config.json"]["state"] == "complete"
    assert listing["model.Q4_K_M.gguf"]["precision"] == "q4_k_m"
    assert " missing\n" in shell.run("prefetch", "acme/model", "--check", code=3)
    done = shell.json("prefetch", "acme/model", "--include", "*.safetensors")
    assert done["jobs"][0]["state"] == "completed"
    assert done["jobs"][0]["progress"]["bytes"] == len(WEIGHTS)
    brought = [hub.log.content_bytes(path) for path in FILES if path.endswith("safetensors")]
    assert sorted(brought) == [0, len(WEIGHTS)]
    assert shell.run("sync", "--all") == "1 repo synced\n"
    said = shell.run("sync", "acme/model", "--offline", code=1)
    assert "sync of acme/model: the Hub is not asked, since hubfs is offline\n" in said
    hub.down()
    assert [repo["repo"] for repo in shell.json("ls")] == ["acme/model"]
    assert [job["kind"] for job in shell.json("jobs")] == ["sync", "sync", "download", "sync"]
    assert "completed" in shell.run("jobs", "2")
    status = shell.json("status")
    assert not status["is_daemon"]
    assert status["cache"]["blobs"] == 2


@pytest.mark.parametrize(
    ("with_daemon", "commands"),
    [
        (False, [["ls", "acme/other"], ["sync", "--all"]]),
        (True, [["sync", "acme/model", "--wait"], ["register", "acme/later", "--wait"]]),
    ],
)
def test_who_waits_for_a_hub_that_is_down_is_told_at_once_and_not_kept_long(
    shell: Shell, hub: LocalHub, *, with_daemon: bool, commands: list[list[str]]
) -> None:
    shell.run("register", "acme/model")
    hub.down()
    with shell.daemon() if with_daemon else nullcontext():
        for command in commands:
            said = shell.run(*command, code=1)
            assert "cannot be reached: Connection refused; trying again, Ctrl-C to stop" in said
            (job,) = shell.json("jobs", "--limit", "1")
            assert (job["kind"], job["state"]) == ("sync", "failed")
            assert 1 < job["attempts"] < MOST_ATTEMPTS
    # That nobody answers is no refusal: what was to be known is.
    assert {each["status"] for each in shell.json("ls")} == {"failed"}
    assert len(shell.json("ls")) == (2 if with_daemon else 1)


def test_what_a_daemon_would_not_heed_is_refused(shell: Shell) -> None:
    assert shell.json("ls", "--offline") == []
    with shell.daemon():
        said = shell.run("ls", "--endpoint", "http://127.0.0.1:1", code=2)
        assert "the daemon of this cache serves http://127.0.0.1" in said
        assert "is not offline" in shell.run("prefetch", "acme/model", "--offline", code=2)
        assert shell.json("ls", "--endpoint", shell.environment["HF_ENDPOINT"]) == []


def test_several_jobs_may_be_begun_in_the_background_at_once(shell: Shell) -> None:
    shell.run("register", "acme/model")
    wishes = [f"*.{kind}" for kind in ("json", "safetensors", "gguf")]
    begun = [
        shell.begin("prefetch", "acme/model", "--include", each, "--background") for each in wishes
    ]
    ends = [(child.communicate(timeout=PATIENCE)[1], child.returncode) for child in begun]
    assert ends == [("", 0)] * 3
    wait_until(lambda: not (shell.cache / "control.sock").exists())
    wait_until(lambda: not (shell.cache / "lock").read_text())
    assert [each["state"] for each in shell.json("jobs")] == ["completed"] * 4


def test_a_command_takes_no_address_of_a_daemon(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        shell.environment["HUBFS_HTTP"] = f"127.0.0.1:{taken.getsockname()[1]}"
        assert shell.json("ls") == []


def test_what_nobody_waits_for_is_tried_for_long(shell: Shell, hub: LocalHub) -> None:
    hub.down()
    with shell.daemon():
        shell.run("sync", "acme/model")
        shell.run("prefetch", "acme/model", "--background")
        pending = [(each["kind"], each["state"]) for each in shell.json("jobs")]
        assert {kind for kind, _ in pending} == {"sync", "download"}
        wait_until(lambda: all(each["attempts"] > 1 for each in shell.json("jobs")))
        hub.up()
        for number in (1, 2):
            shell.run("jobs", str(number), "--follow")


def test_what_cannot_be_says_why(shell: Shell) -> None:
    said = shell.run("sync", "acme/none", code=1)
    assert "hubfs: sync of acme/none: no such repo, or a private one\n" in said
    assert "not a repo" in shell.run("sync", "not a repo", code=2)
    assert "there is no job 99" in shell.run("jobs", "99", code=1)
    assert "name repos" in shell.run("sync", code=2)
    mistyped = ("prefetch", "acme/model", "--include", "*.nope")
    assert "no file of acme/model matches" in shell.run(*mistyped, code=1)
    said = shell.run(*mistyped, "--check", code=1)
    assert "no file of acme/model matches" in said
    assert "all of it is here" not in said


def test_a_register_that_the_hub_refuses_makes_nothing_known(shell: Shell, hub: LocalHub) -> None:
    assert "no such repo" in shell.run("register", "acme/none", code=1)
    assert shell.json("ls") == []
    shell.run("register", "acme/model")
    hub.delete_repo("acme/model")
    shell.run("register", "acme/model", code=1)
    assert [(each["repo"], each["status"]) for each in shell.json("ls")] == [
        ("acme/model", "failed")
    ]


def test_a_register_that_nobody_waits_for_promises_nothing(shell: Shell) -> None:
    with shell.daemon():
        said = shell.run("register", "acme/none")
        assert said == "job 1 syncs acme/none: hubfs jobs 1 --follow\n"
        shell.run("jobs", "1", "--follow", code=1)
        assert shell.json("ls") == []
        assert shell.run("register", "acme/model", "--no-sync") == "acme/model is known\n"
        shell.run("gc")
        assert shell.run("jobs", "2", "--follow") == "job 2 completed\n"


def test_ctrl_c_keeps_the_job_and_the_same_command_goes_on_with_it(
    shell: Shell, hub: LocalHub
) -> None:
    hub.bandwidth = MIB // 4
    running = shell.begin("prefetch", "acme/model")
    hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert "is kept" in errors
    hub.bandwidth = None
    assert [job["state"] for job in shell.json("jobs")] == ["pending"]
    done = shell.json("prefetch", "acme/model")["jobs"]
    assert [(job["id"], job["state"]) for job in done] == [(1, "completed")]


def test_ctrl_c_speaks_of_the_jobs_that_have_not_ended(shell: Shell, hub: LocalHub) -> None:
    hub.create_repo("acme/small", {"config.json": b"{}"})
    hub.create_repo("acme/other", {"model.gguf": random.Random(3).randbytes(MIB)})
    shell.run("prefetch", "acme/small")
    hub.bandwidth = MIB // 4
    running = shell.begin("prefetch", "acme/model", "acme/small", "acme/other")
    assert running.stderr is not None
    said = [running.stderr.readline()]
    while not said[-1].startswith("job 3  download  acme/small  completed"):
        said.append(running.stderr.readline())
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert "what has come is kept, and jobs 2, 4 too\n" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_terminated_gives_the_cache_back(
    shell: Shell, hub: LocalHub, number: signal.Signals
) -> None:
    hub.bandwidth = MIB // 4
    running = shell.begin("prefetch", "acme/model")
    hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
    assert left_behind(shell)
    running.send_signal(number)
    running.send_signal(number)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 128 + number, errors
    assert "is kept" in errors
    assert left_behind(shell) == []
    hub.bandwidth = None
    done = shell.json("prefetch", "acme/model")["jobs"]
    assert [(job["id"], job["state"]) for job in done] == [(1, "completed")]


def test_a_command_that_ignores_the_end_of_its_terminal_goes_on(
    shell: Shell, hub: LocalHub
) -> None:
    hub.bandwidth = MIB
    command = ["nohup", HUBFS, "prefetch", "acme/model"]
    output = subprocess.PIPE
    with subprocess.Popen(command, env=shell.environment, stdout=output, stderr=output) as running:
        hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
        running.send_signal(signal.SIGHUP)
        hub.bandwidth = None
        _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, errors


def test_what_a_killed_command_leaves_hinders_no_other(shell: Shell, hub: LocalHub) -> None:
    hub.bandwidth = MIB // 4
    running = shell.begin("prefetch", "acme/model")
    hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
    running.kill()
    running.communicate(timeout=PATIENCE)
    hub.bandwidth = None
    assert len(left_behind(shell)) == 2
    assert not shell.json("status")["is_daemon"]
    assert left_behind(shell) == []
    assert shell.json("prefetch", "acme/model")["jobs"][0]["id"] == 1


def test_an_engine_in_the_background_that_is_terminated_leaves_nothing(shell: Shell) -> None:
    with shell.daemon() as daemon:
        assert left_behind(shell)
        daemon.terminate()
        assert daemon.wait(PATIENCE) == 128 + signal.SIGTERM
        assert left_behind(shell) == []


def test_commands_are_clients_of_whoever_owns_the_cache(shell: Shell, hub: LocalHub) -> None:
    with shell.daemon() as daemon:
        assert "is queued" in shell.run("prefetch", "acme/model", "--background")
        assert "completed" in shell.run("jobs", "1", "--follow")
        status = shell.json("status")
        assert (status["is_daemon"], status["pid"]) == (True, daemon.pid)
        assert shell.json("jobs", "1", "--follow")["state"] == "completed"
        assert "cannot be cancelled" in shell.run("jobs", "1", "--cancel", code=1)
        shell.run("sync", "--all", "--wait")
        words = {
            "_HUBFS_COMPLETE": "bash_complete",
            "COMP_WORDS": "hubfs ls acme/",
            "COMP_CWORD": "2",
        }
        shell.environment |= words
        assert "acme/model" in shell.run()


def test_a_job_in_the_background_needs_no_daemon_and_leaves_none(
    shell: Shell, hub: LocalHub
) -> None:
    shell.run("prefetch", "acme/model", "--background")
    wait_until(lambda: not (shell.cache / "control.sock").exists())
    wait_until(lambda: not (shell.cache / "lock").read_text())
    job = shell.json("jobs")[0]
    assert (job["state"], job["progress"]["files"]) == ("completed", 3)


def test_a_killed_job_is_finished_by_the_next_of_the_same_command(
    shell: Shell, hub: LocalHub
) -> None:
    """How little is fetched twice is for `tests/weather/test_crashes.py` to say."""
    size = 16 * MIB
    hub.create_repo("acme/large", {"model.safetensors": random.Random(3).randbytes(size)})
    hub.bandwidth = 4 * MIB
    with shell.daemon() as daemon:
        shell.run("prefetch", "acme/large", "--background")
        hub.log.wait_until(lambda log: log.content_bytes() > MIB, PATIENCE)
        daemon.kill()
        daemon.wait(PATIENCE)
    hub.log.wait_idle(PATIENCE)
    before = hub.log.content_bytes()
    hub.bandwidth = None
    done = shell.json("prefetch", "acme/large")["jobs"][0]
    assert (done["id"], done["state"]) == (1, "completed")
    assert hub.log.content_bytes() <= before + size


def test_bars_are_shown_on_a_terminal(shell: Shell) -> None:
    reading, writing = pty.openpty()
    child = subprocess.Popen(
        [HUBFS, "prefetch", "acme/model"],
        env=shell.environment | {"TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=writing,
    )
    os.close(writing)
    shown = b"".join(iter(lambda: _read(reading), b""))
    os.close(reading)
    assert child.wait(PATIENCE) == 0
    assert b"download acme/model" in shown
    assert b"MiB" in shown


def test_who_stops_reading_ends_a_command_in_silence(shell: Shell, hub: LocalHub) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [HUBFS, "status"],
        env=shell.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_hub_that_nobody_asked_is_not_called_reachable(shell: Shell, hub: LocalHub) -> None:
    assert shell.json("status")["hub"] == "not asked yet"


def test_a_secret_that_is_missing_keeps_nobody_from_looking(shell: Shell) -> None:
    """It may be root's alone to read; that the webhook is not told is said once."""
    shell.environment["HUBFS_WEBHOOK"] = "https://ci.example/k3y"
    for command in (["status", "--json"], ["ls"], ["prefetch", "acme/model", "--background"]):
        done = shell.begin(*command)
        _, errors = done.communicate(timeout=PATIENCE)
        assert done.returncode == 0, errors
        said = "hubfs: HUBFS_WEBHOOK: nobody is told of jobs: "
        assert errors.count(said) == 1, errors
        assert "webhook_secret is not set" in errors
        assert "k3y" not in errors
    wait_until(lambda: not (shell.cache / "control.sock").exists())
    assert "no webhook is told of jobs" in (shell.cache / "hubfs.log").read_text()


def _read(descriptor: int) -> bytes:
    assert select.select([descriptor], [], [], PATIENCE)[0]
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux: the other end is closed
        return b""


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_shells_are_taught_to_complete(shell: Shell, shell_name: str) -> None:
    assert "_HUBFS_COMPLETE" in shell.run("completion", shell_name)
