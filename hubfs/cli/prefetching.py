"""`hubfs prefetch`: files brought here before anything reads them."""

from __future__ import annotations

import click

from hubfs.cli.following import conclude, follow
from hubfs.cli.globs import choosing_files
from hubfs.cli.handing import ensure_daemon
from hubfs.cli.reaching import Reached, complete_repo, engine_options, reached, split_revision
from hubfs.cli.showing import files_text, show_json
from hubfs.config import Settings
from hubfs.config.addresses import checked_webhook
from hubfs.control.client import Json
from hubfs.errors import UsageError
from hubfs.model.units import size_text

MISSING = 3


def webhook_named(_: click.Context, parameter: click.Parameter, text: str) -> str:
    """The value of an option that names a webhook.

    Raises:
        UsageError: it can be none.
    """
    try:
        return checked_webhook(text)
    except UsageError as error:
        raise UsageError(f"{parameter.opts[0]}: {error}", hint=error.hint) from None


@click.command()
@click.argument(
    "repos", nargs=-1, required=True, metavar="REPO[@REV]...", shell_complete=complete_repo
)
@choosing_files
@click.option("--background", is_flag=True, help="Return at once; a daemon does the work.")
@click.option("--check", is_flag=True, help="Say what is missing and fetch nothing; exits with 3.")
@click.option(
    "--webhook",
    default="",
    metavar="URL",
    callback=webhook_named,
    help="Whom to tell when it has ended.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
def prefetch(  # noqa: PLR0913 - an option is an argument
    repos: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    *,
    background: bool,
    check: bool,
    webhook: str,
    as_json: bool,
    settings: Settings,
) -> None:
    r"""Bring the files of REPO here, behind everybody's reading.

    What is here already is not fetched again, and what was begun is gone on
    with. Ctrl-C keeps what has come. Globs match whole paths, as those of the
    Hub's own client do.

    \b
    Examples:
      hubfs prefetch Qwen/Qwen3-0.6B
      hubfs prefetch unsloth/Qwen3-GGUF --include '*Q4_K_M*' --background
      hubfs prefetch Qwen/Qwen3-0.6B@main --check

    \b
    Exit codes:
      0  all of it is here (with --background: queued)
      1  some of it could not be had; the files are named
      2  a name or an option cannot be right
      3  --check: something is missing
      130  Ctrl-C; the job is kept
    """
    items = [_item(repo, include, exclude) for repo in repos]
    if background and not check:
        ensure_daemon(settings)
    with reached(settings) as engine:
        if check:
            _check(engine, items, as_json=as_json)
            return
        others = {"also": items[1:], "background": background, "webhook": webhook}
        batch = engine.client.post("/v1/hub/download", {**items[0], **others})
        if background:
            _tell(batch, as_json=as_json)
        else:
            _wait(engine, batch, as_json=as_json)


def _item(repo: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> Json:
    name, revision = split_revision(repo)
    return {"repo": name, "revision": revision, "include": [*include], "exclude": [*exclude]}


def _check(engine: Reached, items: list[Json], *, as_json: bool) -> None:
    found = [engine.client.post("/v1/hub/download/check", item) for item in items]
    if as_json:
        show_json(found)
    for each in () if as_json else found:
        text = f"{each['repo']}: {files_text(each['files'])}, {size_text(each['size'])}; "
        if each["missing_files"]:
            missing = files_text(each["missing_files"])
            text += f"{missing}, {size_text(each['missing_size'])} missing"
        else:
            text += "all of it is here"
        click.echo(text)
    if any(each["missing_files"] for each in found):
        raise click.exceptions.Exit(MISSING)


def _tell(batch: Json, *, as_json: bool) -> None:
    if as_json:
        show_json(batch)
        return
    for job in batch["jobs"]:
        click.echo(f"job {job['id']} is queued: hubfs jobs {job['id']} --follow")


def _wait(engine: Reached, batch: Json, *, as_json: bool) -> None:
    jobs = follow(engine, [job["id"] for job in batch["jobs"]])
    if as_json:
        show_json({**batch, "jobs": jobs})
    conclude(jobs)
    for job in () if as_json else jobs:
        progress, result = job["progress"], job["result"]
        size = size_text(progress["bytes"])
        click.echo(
            f"{result['repo']} at {result['commit'][:12]}: {files_text(progress['files'])}, {size}"
        )
