"""`hubfs verify`: whether the cache holds what it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click

from hubfs.cli.following import follow
from hubfs.cli.main import complain
from hubfs.cli.reaching import complete_repo, engine_options, reached, split_revision
from hubfs.cli.showing import files_text, show_json, show_table
from hubfs.config import Settings
from hubfs.control.client import Json
from hubfs.errors import HubfsError, UsageError
from hubfs.model.units import counted, size_text

CLEAN: Final = 0
PUT_RIGHT: Final = 1
LEFT: Final = 4
FAILED: Final = 8  # these four are fsck's
_SHOWN: Final = 20

F = TypeVar("F", bound=Callable[..., Any])


def _failing_like_fsck(command: F) -> F:
    """Let 1 mean one thing only: a command that could not do its work exits with 8."""

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - click's own
        try:
            return command(*arguments, **options)
        except UsageError:
            raise
        except HubfsError as error:
            complain(error)
            raise click.exceptions.Exit(FAILED) from error

    return guarded  # type: ignore[return-value]


@click.command()
@click.argument("repo", required=False, metavar="[REPO[@REV]]", shell_complete=complete_repo)
@click.option("--repair", is_flag=True, help="Fetch again at once what was lost.")
@click.option(
    "-j",
    "--threads",
    type=click.IntRange(1, 64),
    default=min(4, os.cpu_count() or 1),
    show_default=True,
    help="How many files to read at once; 1 for a disk that turns.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
@_failing_like_fsck
def verify(
    repo: str | None, *, repair: bool, threads: int, as_json: bool, settings: Settings
) -> None:
    r"""Hash what is here again, and compare disk and index both ways.

    A bad file is moved to `bad` in the cache directory and comes again when it
    is read, or at once with --repair. What else does not fit is put right.
    Without REPO, everything is looked at. Readers are not disturbed. What was
    begun is gone on with after Ctrl-C or a restart.

    \b
    Examples:
      hubfs verify
      hubfs verify Qwen/Qwen3-0.6B --repair
      hubfs verify -j 1 --json

    \b
    Exit codes, as fsck's:
      0  nothing is wrong
      1  something was, and is put right: nothing bad will be read
      2  a name or an option cannot be right
      4  something is still wrong, or with --repair could not be fetched
      8  it could not be done
      130  Ctrl-C; the job is kept
    """
    name, revision = (None, "") if repo is None else split_revision(repo)
    wish = {"repo": name, "revision": revision, "repair": repair, "threads": threads}
    with reached(settings) as engine:
        queued = engine.client.post("/v1/hub/verify", wish)
        job = follow(engine, [queued["id"]])[0]
    if as_json:
        show_json(job)
    else:
        _show(job)
    raise click.exceptions.Exit(code_of(job))


def code_of(job: Json) -> int:
    """What an ended job means for who waits for the exit code."""
    result = job["result"]
    if job["state"] == "completed":
        return PUT_RIGHT if result["found"] else CLEAN
    return LEFT if job["state"] == "failed" and result.get("left") else FAILED


def _show(job: Json) -> None:
    code, result, progress = code_of(job), job["result"], job["progress"]
    if code == FAILED:
        complain(HubfsError(job["error"] or f"the job was {job['state']}", hint=job["hint"]))
        return
    if result["findings"]:
        shown = result["findings"][:_SHOWN]
        show_table(("FLAW", "SIZE ", "WHAT", "WHAT BECAME OF IT"), map(_row, shown))
    total = sum(result["found"].values())
    if total > _SHOWN:
        click.echo(f"and {total - _SHOWN} more: hubfs jobs {job['id']}")
    for name, reason in job["failures"].items():
        click.secho(f"{name}: {reason}", fg="red", err=True)
    looked_at = f"{files_text(progress['files'])}, {size_text(progress['bytes'])}"
    click.echo(f"{looked_at}: {_verdict(result)}")


def _row(finding: Json) -> tuple[str, ...]:
    what = finding["file"] or finding["name"]
    return finding["flaw"], size_text(finding["size"]), what, finding["remedy"]


def _verdict(result: Json) -> str:
    if not result["found"]:
        return "nothing is wrong"
    text = f"{counted(result['put_right'], 'error')} put right, {result['left']} left"
    if result["set_aside"]:
        text += f"; {result['set_aside']} set aside in {result['bad']}"
    if result["refetched"]:
        text += f"; {result['refetched']} fetched again"
    return text
