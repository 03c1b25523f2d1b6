"""`hubfs verify`: exit codes are fsck's, with a daemon and without one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.shell import FILES, WEIGHTS, Shell
from tests.localhub import LocalHub
from tests.mount.waiting import PATIENCE, wait_until


def the_weights(shell: Shell) -> Path:
    (path,) = [each for each in blobs(shell) if each.stat().st_size == len(WEIGHTS)]
    return path


def blobs(shell: Shell) -> list[Path]:
    return sorted(shell.cache.glob("blobs/sha256/*/*"))


def flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"flipped")
    path.chmod(0o444)


def test_the_exit_code_says_what_was_found(shell: Shell, hub: LocalHub) -> None:
    shell.run("prefetch", "acme/model")
    assert "3 files, 4.0 MiB: nothing is wrong" in shell.run("verify")
    flip(the_weights(shell))
    said = shell.run("verify", "--repair", "--offline", code=4)
    assert "not fetched again" in said
    assert f"0 errors put right, 1 left; 1 set aside in {shell.cache}/bad" in said


def test_a_daemon_verifies_for_whoever_asks(shell: Shell, hub: LocalHub) -> None:
    shell.run("prefetch", "acme/model")
    with shell.daemon():
        flip(the_weights(shell))
        done = shell.json("verify", "acme/model", "--repair", "-j", "1", code=1)
        assert (done["kind"], done["state"]) == ("verify", "completed")
        assert done["arguments"]["threads"] == 1
        assert done["result"]["refetched"] == 1
        assert {path.stat().st_size for path in blobs(shell)} == {len(x) for x in FILES.values()}
        assert shell.json("verify")["result"]["found"] == {}
        assert "is not known here" in shell.run("verify", "acme/none", code=8)
        assert "not a repo" in shell.run("verify", "not a repo", code=2)


def test_a_killed_verification_goes_on_where_it_was(shell: Shell, hub: LocalHub) -> None:
    shell.run("prefetch", "acme/model")
    last = blobs(shell)[-1]
    last.chmod(0o644)
    os.truncate(last, 1 << 42)  # no look at it comes to an end
    with shell.daemon() as daemon:
        running = shell.begin("verify", "-j", "1", "--json")
        wait_until(lambda: [job["progress"]["files"] for job in shell.json("jobs")] == [2, 3])
        # Looking at a log has it written down, and with it how far the job is.
        assert shell.json("jobs", "2")["logs"]
        daemon.kill()
        os.truncate(last, 10)
        output, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1, errors
    done = json.loads(output)
    assert (done["id"], done["result"]["found"]) == (2, {"cut": 1})
    assert any("going on after 2 blobs" in line["text"] for line in done["logs"])
