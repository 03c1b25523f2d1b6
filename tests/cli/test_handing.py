"""Commands without a daemon: they share an engine, and hand over what is left to do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from hubfs.control.client import Client
from hubfs.control.serving import MOST_CONNECTIONS
from hubfs.control.sockets import short_address
from hubfs.errors import HubfsError
from tests.cli.shell import MIB, Shell
from tests.localhub import LocalHub
from tests.mount.waiting import PATIENCE, wait_until


@pytest.fixture
def first(shell: Shell, hub: LocalHub) -> Iterator[subprocess.Popen[str]]:
    """A command that answers for the cache, and has a long way to go."""
    hub.bandwidth = MIB // 4
    with shell.running("prefetch", "acme/model", "--include", "*.safetensors") as child:
        hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
        yield child


def others(hub: LocalHub, count: int) -> list[str]:
    """Names of repos of 2 MiB each."""
    names = [f"acme/other{each}" for each in range(count)]
    for at, name in enumerate(names):
        hub.create_repo(name, {"model.gguf": random.Random(at).randbytes(2 * MIB)})
    return names


def wait_until_asked(hub: LocalHub, name: str) -> None:
    """Wait until somebody asks the hub about a repo."""
    hub.log.wait_until(lambda log: bool(log.requests(path_contains=name)), PATIENCE)


def wait_until_free(shell: Shell) -> None:
    """Wait until nobody has the cache."""
    wait_until(lambda: not (shell.cache / "lock").read_text())


def states(shell: Shell) -> list[str]:
    """Those of all jobs, oldest first."""
    return [job["state"] for job in shell.json("jobs")][::-1]


@pytest.mark.parametrize("ends_early", [False, True])
def test_what_a_command_leaves_in_the_background_goes_on(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str], ends_early: bool
) -> None:
    """But its own job only if it was completed: who calls it off means it."""
    for name in others(hub, 4):
        shell.run("prefetch", name, "--background")
    if ends_early:
        first.terminate()
    else:
        hub.bandwidth = 2 * MIB
        shell.run("jobs", "1", "--follow")
        hub.bandwidth = MIB // 4
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode == (143 if ends_early else 0)
    assert " on in the background" in errors
    hub.bandwidth = None
    wait_until_free(shell)
    assert states(shell) == ["pending" if ends_early else "completed", *["completed"] * 4]


def test_who_is_impatient_loses_nothing(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str]
) -> None:
    """A second Ctrl-C ends the process under its engine: the next command hands over for it."""
    (name,) = others(hub, 1)
    shell.run("prefetch", name, "--background")
    assert first.stderr is not None
    first.send_signal(signal.SIGINT)
    while "is kept" not in first.stderr.readline():
        pass
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        first.send_signal(number)
    first.communicate(timeout=PATIENCE)
    hub.bandwidth = None
    shell.run("ls")
    wait_until_free(shell)
    assert states(shell) == ["pending", "completed"]


@pytest.mark.parametrize("of", ["a command", "a daemon"])
def test_what_was_killed_in_the_background_goes_on_with_the_next_command(
    shell: Shell, hub: LocalHub, of: str
) -> None:
    hub.bandwidth = MIB // 2
    (name,) = others(hub, 1)
    with shell.daemon() if of == "a daemon" else shell.running("prefetch", "acme/model") as owner:
        hub.log.wait_until(lambda log: log.content_bytes() > 0 or of == "a daemon", PATIENCE)
        shell.run("prefetch", name, "--background")
        wait_until_asked(hub, name)
        owner.kill()
        owner.wait(PATIENCE)
    hub.bandwidth = None
    number = 1 if of == "a daemon" else 2
    assert f"job {number} goes on in the background" in shell.run("ls", code=0, errors=True)
    wait_until_free(shell)
    assert states(shell)[number - 1] == "completed"


def leave_in_background(shell: Shell, hub: LocalHub, *after: tuple[str, ...]) -> None:
    """Begin a job in the background, run commands `after` it has, and kill who does it."""
    hub.bandwidth = MIB // 4
    with shell.daemon() as daemon:
        shell.run("prefetch", "acme/model", "--background")
        hub.log.wait_until(lambda log: log.content_bytes() > 0, PATIENCE)
        for command in after:
            shell.run(*command)
        daemon.kill()
        daemon.wait(PATIENCE)


def assert_goes_on(shell: Shell, hub: LocalHub) -> None:
    """The job that was left is done by and by, since a command is run."""
    hub.bandwidth = None
    assert "job 1 goes on in the background" in shell.run("ls", errors=True)
    wait_until_free(shell)
    assert states(shell) == ["completed"]


def test_without_the_hub_nothing_is_begun_in_the_background(shell: Shell, hub: LocalHub) -> None:
    """It would fail for want of the Hub, and then be lost."""
    leave_in_background(shell, hub)
    assert shell.run("ls", "--offline", errors=True).count("background") == 0
    assert_goes_on(shell, hub)


def test_a_command_goes_on_when_the_one_that_answered_it_ends(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str]
) -> None:
    hub.create_repo("acme/other", {"model.gguf": random.Random(5).randbytes(2 * MIB)})
    second = shell.begin("prefetch", "acme/other")
    hub.log.wait_until(lambda log: len(log.requests(path_contains="acme/other")) > 0, PATIENCE)
    first.terminate()
    first.communicate(timeout=PATIENCE)
    hub.bandwidth = None
    _, errors = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, errors
    assert [job["state"] for job in shell.json("jobs")] == ["completed", "pending"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_who_waited_go_on_when_the_one_that_answered_them_ends(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str], number: signal.Signals
) -> None:
    """One of them takes over, whoever it is; two of them wait for the same."""
    names = others(hub, 2)
    waiting = [shell.begin("prefetch", name) for name in [*names, names[0]]]
    for name in names:
        wait_until_asked(hub, name)
    first.send_signal(number)
    first.communicate(timeout=PATIENCE)
    hub.bandwidth = None
    for each in waiting:
        _, errors = each.communicate(timeout=PATIENCE)
        assert each.returncode == 0, errors
    assert states(shell) == ["pending", "completed", "completed"]


def test_commands_at_once_all_do_what_they_are_for(shell: Shell, hub: LocalHub) -> None:
    """Each moment one of them ends that answered for others."""
    names = others(hub, 3)
    commands = [["ls"], ["jobs"], ["status"], *(["prefetch", name] for name in names)] * 3
    running = [shell.begin(*each) for each in commands]
    for each in running:
        _, errors = each.communicate(timeout=PATIENCE)
        assert (each.returncode, "daemon" in errors) == (0, False), errors
    assert {*states(shell)} == {"completed"}


def test_who_is_answered_by_another_command_is_told_what_becomes_of_the_job(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str]
) -> None:
    (name,) = others(hub, 1)
    second = shell.begin("prefetch", name)
    wait_until_asked(hub, name)
    second.send_signal(signal.SIGINT)
    _, errors = second.communicate(timeout=PATIENCE)
    assert "another command, as long as it runs, goes on with job 2\n" in errors
    assert "hubfs jobs 2 --cancel" in errors
    assert shell.json("jobs", "2")["state"] == "running"
    assert shell.json("jobs", "2", "--cancel")["state"] == "cancelled"
    assert first.poll() is None


@pytest.mark.parametrize(
    "otherwise", [{"HF_ENDPOINT": "http://127.0.0.1:1"}, {"HF_HUB_OFFLINE": "1"}]
)
def test_who_speaks_to_another_hub_waits_for_the_cache(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str], otherwise: dict[str, str]
) -> None:
    before = shell.environment
    shell.environment = before | otherwise
    refused = shell.run("ls", code=1)
    assert f"a command that is online and speaks to {hub.endpoint} (process {first.pid})" in refused
    waiting = shell.begin("ls", "--json")
    first.terminate()
    _, errors = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, errors


def test_what_goes_on_in_the_background_is_not_said_to_wait(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str]
) -> None:
    """The same wish twice, of which one is in the background, is one job."""
    shell.run("prefetch", "acme/model", "--include", "*.safetensors", "--background")
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=PATIENCE)
    assert "is kept" not in errors
    assert "job 1 goes on in the background" in errors
    hub.bandwidth = None
    wait_until_free(shell)
    assert states(shell) == ["completed"]


def test_what_is_tried_again_with_nobody_looking_on_goes_on_too(
    shell: Shell, hub: LocalHub
) -> None:
    leave_in_background(shell, hub, ("jobs", "1", "--cancel"), ("jobs", "1", "--retry"))
    assert_goes_on(shell, hub)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look at another user's cache")
def test_who_looks_at_the_cache_of_another_user_fetches_nothing_into_it(
    shell: Shell, hub: LocalHub
) -> None:
    leave_in_background(shell, hub)
    os.chown(shell.cache, 65534, 65534)
    assert "background" not in shell.run("ls", errors=True)
    assert states(shell) == ["pending"]


def look_on(stack: ExitStack, address: str, count: int) -> None:
    """Follow jobs by so many connections."""
    for _ in range(count):
        client = stack.enter_context(closing(Client(address)))
        stack.enter_context(client.changes())


def test_many_may_look_on_at_once(
    shell: Shell, hub: LocalHub, first: subprocess.Popen[str]
) -> None:
    """And one too many is told so."""
    spare = 16  # for connections that come and go
    with ExitStack() as stack:
        address = stack.enter_context(short_address(shell.cache))
        assert address is not None
        look_on(stack, address, MOST_CONNECTIONS - spare)
        assert shell.json("jobs", "1")["state"] == "running"
        with pytest.raises(HubfsError, match="too many commands"):
            look_on(stack, address, 2 * spare)
    hub.bandwidth = None
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, errors


def test_a_job_that_was_left_can_be_followed(shell: Shell, hub: LocalHub) -> None:
    """It goes on, since somebody looks on again."""
    hub.bandwidth = MIB // 2
    with shell.running("prefetch", "acme/model") as first:
        hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
        first.send_signal(signal.SIGINT)
        first.wait(PATIENCE)
    hub.bandwidth = None
    assert shell.json("jobs", "1")["parked"]
    assert shell.json("jobs", "1", "--follow")["state"] == "completed"


def test_who_watches_keeps_no_cache(shell: Shell) -> None:
    watching = shell.begin("status", "--watch")
    try:
        assert watching.stdout is not None
        assert "not running" in watching.stdout.readline()
        wait_until(lambda: not (shell.cache / "lock").read_text())
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 130
