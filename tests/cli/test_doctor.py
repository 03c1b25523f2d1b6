"""`hubfs doctor` as it is typed: what it prints, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.localhub import LocalHub
from tests.mount.mounted import environment_in, run_hubfs

SECRET = "hf_test"


def diagnosed(scratch: Path, *arguments: str | Path, **environment: str) -> Any:
    """What doctor says, by check; the token is in none of it.

    Others' mounts on this machine are its business too, and may be dead.
    """
    done = run_hubfs(
        "doctor",
        "--json",
        *("--cache-dir", scratch / "cache"),
        *arguments,
        environment=environment_in(scratch) | environment,
    )
    assert done.stderr == ""
    assert SECRET not in done.stdout
    told = json.loads(done.stdout)["verdicts"]
    problems = {each["check"] for each in told if each["level"] == "problem"}
    assert done.returncode == bool(problems)
    assert problems <= {"mount"}, told
    return {each["check"]: each for each in told}


def test_a_healthy_place_has_no_problem_and_is_left_as_it_was(
    local_hub: LocalHub, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    found = diagnosed(tmp_path, models, "--endpoint", local_hub.endpoint, HF_TOKEN=SECRET)
    assert found["endpoint"]["level"] == "ok"
    assert found["token"]["finding"].startswith("from HF_TOKEN, of owner")
    assert found["mountpoint"]["level"] == "ok"
    assert "clock" in found
    assert not (tmp_path / "cache").exists()


def test_problems_are_told_on_lines_of_their_own_and_by_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no directory")
    (tmp_path / "cache.d").mkdir()
    done = run_hubfs(
        "doctor",
        *("--cache-dir", tmp_path / "cache.d", "--endpoint", "http://127.0.0.1:9"),
        tmp_path / "cache",
        environment=environment_in(tmp_path) | {"HF_TOKEN": f"{SECRET} and more"},
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("problem  endpoint") for line in lines)
    assert any(
        line.startswith("problem  mountpoint") and "not a directory" in line for line in lines
    )
    assert any(line.startswith("problem  token") for line in lines)
    assert any(line.startswith("ok       name") for line in lines)
    assert lines[-1].split(", ")[0].endswith("problems")
    assert SECRET not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout


def test_offline_nothing_is_asked(local_hub: LocalHub, tmp_path: Path) -> None:
    found = diagnosed(tmp_path, "--endpoint", local_hub.endpoint, "--offline")
    assert found["endpoint"]["level"] == "note"
    assert len(local_hub.log) == 0


def test_files_that_show_their_secrets_to_others_are_noted(
    local_hub: LocalHub, tmp_path: Path
) -> None:
    config, token = tmp_path / "config.toml", tmp_path / "token"
    config.write_text(f'http_token = "s3cret"\ntoken_file = "{token}"\n')
    token.write_text("none yet")
    arguments = ("doctor", "--json", "--offline", "--cache-dir", tmp_path / "cache")
    environment = environment_in(tmp_path) | {"HUBFS_CONFIG": str(config)}
    for mode, expected in ((0o644, [config, token]), (0o600, [])):
        config.chmod(mode)
        token.chmod(mode)
        done = run_hubfs(*arguments, environment=environment)
        told = [each for each in json.loads(done.stdout)["verdicts"] if each["check"] == "secrets"]
        noted = [each for each in told if each["level"] == "note"]
        assert [each["advice"] for each in noted] == [f"chmod 600 {file}" for file in expected]
        assert len(told) == max(1, len(noted))
        assert "s3cret" not in done.stdout


def test_a_login_that_shows_its_token_to_others_is_noted(tmp_path: Path) -> None:
    """The file that `hf auth login` has written is no setting, and is used all the same."""
    environment = environment_in(tmp_path) | {"HF_HOME": str(tmp_path / "hf")}
    token = tmp_path / "hf/token"
    token.parent.mkdir()
    token.write_text("hf_s3cret")
    arguments = ("doctor", "--json", "--offline", "--cache-dir", tmp_path / "cache")
    for mode, level in ((0o644, "note"), (0o600, "ok")):
        token.chmod(mode)
        done = run_hubfs(*arguments, environment=environment)
        verdicts = json.loads(done.stdout)["verdicts"]
        (told,) = [each for each in verdicts if each["check"] == "secrets"]
        assert told["level"] == level
        assert (str(token) in told["advice"]) == (level == "note")


@pytest.mark.parametrize("module", ["hubfs.cli.doctor", "hubfs.daemon.diagnosis.checks"])
def test_the_command_loads_only_what_its_checks_do_not(module: str) -> None:
    """A library that cannot be loaded is a finding: it must not be the doctor's end."""
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert set(done.stdout.decode().split()).isdisjoint(
        {"huggingface_hub", "lmdb", "pyfuse3", "trio", "fastapi"}
    )
