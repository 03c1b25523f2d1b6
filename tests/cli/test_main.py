"""What every command has in common: help, one sentence for what is wrong, and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hubfs.cli.main import main
from hubfs.errors import HubfsError, MountFailed, UsageError

CONTEXT = click.Context(main)


def command_of(name: str) -> click.Command:
    found = main.get_command(CONTEXT, name)
    assert found is not None
    return found


COMMANDS = [name for name in main.list_commands(CONTEXT) if not command_of(name).hidden]


def run(*arguments: str | Path, **environment: str) -> Result:
    """Run `hubfs` in this process, without this machine's settings; nothing here gets to work."""
    nothing = dict.fromkeys(each for each in os.environ if each.startswith(("HF_", "HUBFS_")))
    variables = nothing | {"HUBFS_CONFIG": "/dev/null"} | environment
    return CliRunner().invoke(main, list(map(str, arguments)), env=variables, prog_name="hubfs")


def complaint(result: Result, code: int) -> str:
    """What is said on standard error, which is all that is said."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: hubfs {command} ")
    if command != "completion":
        assert f"hubfs {command}" in result.output.partition("Examples:\n    ")[2]
    assert "\\b" not in result.output
    assert run(command, "-h").output == result.output


def test_the_program_lists_its_commands_and_says_what_it_is() -> None:
    output = run("--help").output
    assert "Mount the Hugging Face Hub as one directory." in output
    assert "\n    hubfs mount /models\n" in output
    for command in COMMANDS:
        assert f"\n  {command} " in output


@pytest.mark.parametrize("group", [[], ["config"], ["service"]])
def test_what_a_list_of_commands_says_of_each_is_not_cut_off(group: list[str]) -> None:
    assert "..." not in run(*group, "--help").output.partition("Commands:")[2]


def test_the_version_is_told() -> None:
    assert run("--version").output.startswith("hubfs, version ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no-such-command"], "No such command 'no-such-command'"),
        (["mount"], "Missing argument 'DIRECTORY'"),
        (["mount", "/no/such/place", "--no-such-option"], "No such option"),
        (
            ["mount", "/no/such/place", "--metadata-ttl", "soon"],
            "'soon' is not a number of seconds such as 60",
        ),
        (["mount", "/no/such/place", "--metadata-ttl", "-1"], "at least 0"),
        (["mount", "/no/such/place", "--metadata-ttl", "nan"], "a number of seconds such as 60"),
        (["mount", "/no/such/place", "--patience", "inf"], "a number of seconds such as 60"),
        (["mount", "/no/such/place", "--patience", "0"], "at least 1"),
        (
            ["mount", "/no/such/place", "--max-connections", "0"],
            "'0' is not a number from 1 to 256",
        ),
        (["mount", "/no/such/place", "--limit-rate", "fast"], "such as 500M"),
        (
            ["mount", "/no/such/place", "--fill", "sometimes"],
            "'sometimes' is not one of auto, never, always",
        ),
        (["umount", "/models", "--forcefully"], "No such option"),
        (
            ["unpin"],
            "hubfs: what is to be unpinned?\n  either name pins, or give --all\n",
        ),
        (["unpin", "--all", "acme/model"], "hubfs: what is to be unpinned?\n"),
        (["jobs", "3", "--retry", "--cancel"], "hubfs: --cancel goes alone\n"),
        (["prefetch", "a/b", "--include", ""], "hubfs: --include: a blank glob matches nothing\n"),
        (["export", "a/b", "/x", "--exclude", " "], "hubfs: --exclude: a blank glob"),
    ],
)
def test_misuse_says_what_a_right_one_looks_like(arguments: list[str], reason: str) -> None:
    assert reason in complaint(run(*arguments), 2)


@pytest.mark.parametrize(
    "endpoint",
    ["hub", "ftp://hub.test", "https://", "https://hub.test:port", "https://a?b", "https://[::1"],
)
def test_an_endpoint_that_can_be_none_is_refused(endpoint: str, tmp_path: Path) -> None:
    for result in (
        run("mount", tmp_path / "models", "--endpoint", endpoint),
        run("mount", tmp_path / "models", HF_ENDPOINT=endpoint),
    ):
        said = complaint(result, 2)
        assert repr(endpoint) in said
        assert "https://huggingface.co" in said


def test_a_password_in_an_endpoint_is_refused_and_not_repeated(tmp_path: Path) -> None:
    said = complaint(run("mount", tmp_path / "m", "--endpoint", "https://me:secret@hub.test"), 2)
    assert "secret" not in said
    assert "HF_TOKEN" in said


def test_what_is_mounted_nowhere_cannot_be_unmounted(tmp_path: Path) -> None:
    said = complaint(run("umount", tmp_path), 1)
    assert said == f"hubfs: nothing of hubfs is mounted at {tmp_path}\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MountFailed("it is busy", hint="wait"), 1, "hubfs: it is busy\n  wait\n"),
        (UsageError("no such thing"), 2, "hubfs: no such thing\n"),
    ],
)
def test_an_expected_failure_is_one_sentence_and_a_hint(
    error: HubfsError, code: int, said: str
) -> None:
    group = type(main)()

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


@pytest.mark.parametrize("command", ["mount", "status"])
def test_a_webhook_that_can_be_none_is_named_with_who_says_so(command: str, tmp_path: Path) -> None:
    """As any setting is; the address is not repeated, since it may be a secret."""
    file = tmp_path / "config.toml"
    file.write_text('webhook = "ftp://k3y"')
    arguments = [command, *([str(tmp_path / "models")] if command == "mount" else [])]
    for place, environment in (
        ("HUBFS_WEBHOOK", {"HUBFS_WEBHOOK": "k3y"}),
        (f"{file}: webhook", {"HUBFS_CONFIG": str(file)}),
    ):
        said = complaint(run(*arguments, **environment), 2)
        assert said.startswith(f"hubfs: {place}: not an http or https address\n")
        assert "such as" in said or "looks like" in said
        assert "k3y" not in said
    said = complaint(run("prefetch", "acme/model", "--webhook", "k3y"), 2)
    assert said.startswith("hubfs: --webhook: not an http or https address\n")


def test_who_mounts_is_told_which_webhook_lacks_a_secret_or_leads_back(tmp_path: Path) -> None:
    arguments = ["mount", str(tmp_path), "--cache-dir", str(tmp_path.parent / "cache")]
    webhook = {"HUBFS_WEBHOOK": "http://127.0.0.1:8711/told"}
    said = complaint(run(*arguments, **webhook), 2)
    assert said.startswith("hubfs: HUBFS_WEBHOOK: ")
    assert "webhook_secret is not set" in said
    assert "HUBFS_WEBHOOK_SECRET" in said
    back = {"HUBFS_WEBHOOK_SECRET": "open sesame", "HUBFS_HTTP": ":8711"}
    said = complaint(run(*arguments, **webhook, **back), 2)
    assert said.startswith("hubfs: HUBFS_WEBHOOK: a webhook must not lead to the daemon itself\n")
    said = complaint(run(*arguments, HUBFS_HTTP="0.0.0.0:8711"), 2)
    assert said.startswith("hubfs: HUBFS_HTTP: listening at 0.0.0.0 needs a token\n")


def test_colours_are_for_terminals_and_not_where_they_are_unwanted(tmp_path: Path) -> None:
    for is_terminal, no_color, is_coloured in (
        (False, "", False),
        (True, "", True),
        (True, "1", False),
    ):
        variables = {"NO_COLOR": no_color}
        arguments = ["umount", str(tmp_path)]
        result = CliRunner().invoke(main, arguments, env=variables, color=is_terminal)
        assert ("\x1b[31m" in result.stderr) is is_coloured


@pytest.mark.parametrize("blank", ["", " ", "@main"])
@pytest.mark.parametrize(
    "command",
    ["register", "sync", "prefetch", "verify", "export", "ls", "pin", "unpin", "rm"],
)
def test_a_repo_that_is_blank_is_none_and_not_all_of_them(
    command: str, blank: str, tmp_path: Path
) -> None:
    """Of a variable that is not set: `hubfs rm "$REPO"`."""
    folder = [tmp_path / "folder"] if command == "export" else []
    said = complaint(run(command, blank, *folder, "--cache-dir", tmp_path / "cache"), 2)
    hint = "  repos look like org/name or datasets/org/name\n"
    assert said == f"hubfs: no repo is named in {blank!r}\n{hint}"
    assert [*tmp_path.iterdir()] == []


def test_a_revision_that_is_blank_is_not_the_whole_repo(tmp_path: Path) -> None:
    """`hubfs rm acme/model@$REV` shall not forget all of it."""
    said = complaint(run("rm", "acme/model@", "--cache-dir", tmp_path / "cache"), 2)
    assert said.startswith("hubfs: no revision is named in 'acme/model@'\n")
    assert "or say acme/model" in said
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "command",
    [
        ["mount"],
        ["umount"],
        ["scan"],
        ["scan", "/srv"],
        ["doctor"],
        ["export", "acme/model"],
        ["service", "install", "--dry-run", "--mountpoint"],
        ["service", "uninstall", "--dry-run", "--root"],
    ],
)
def test_a_path_that_is_empty_is_not_the_current_directory(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a variable that is not set: `hubfs scan "$MODELS"`."""
    monkeypatch.chdir(tmp_path)
    said = complaint(run(*command, "", HUBFS_CACHE_DIR=str(tmp_path / "cache")), 2)
    assert said == "hubfs: an empty path names nothing\n  for the current directory, say .\n"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("command", [["ls"], ["status"], ["prefetch", "acme/model"], ["doctor"]])
def test_a_cache_directory_that_is_a_file_is_named_with_who_says_so(
    command: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    expected = (
        f"{file} is a file, not a directory\n  name another directory, or move the file away\n"
    )
    said = complaint(run(*command, "--cache-dir", file), 2)
    assert said == f"hubfs: --cache-dir: {expected}"
    said = complaint(run(*command, HUBFS_CACHE_DIR=str(file / "below")), 2)
    assert said == f"hubfs: HUBFS_CACHE_DIR: {expected}"


def test_the_usual_cache_directory_may_be_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "hubfs").write_text("mine")
    said = complaint(run("status", XDG_CACHE_HOME=str(tmp_path)), 1)
    assert said.startswith(f"hubfs: {tmp_path}/hubfs is a file, not a directory\n")
    assert "--cache-dir" in said


def test_commands_are_documented_in_one_line() -> None:
    for name in COMMANDS:
        first = (command_of(name).help or "").partition("\n")[0]
        assert first.endswith("."), name


def test_starting_a_daemon_loads_nothing_that_only_daemons_need() -> None:
    """A command answers at once; the daemon's libraries take half a second."""
    program = "import sys, hubfs.cli.mounting; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert set(done.stdout.decode().split()).isdisjoint(
        {"httpx", "huggingface_hub", "lmdb", "pyfuse3", "rich", "trio"}
    )
