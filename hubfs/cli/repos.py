"""`hubfs register`, `sync` and `ls`: repos, and what is known of them."""

from __future__ import annotations

from typing import Any

import click

from hubfs.cli.following import conclude, follow
from hubfs.cli.quantities import SIZE
from hubfs.cli.reaching import Reached, complete_repo, engine_options, reached, split_revision
from hubfs.cli.showing import files_text, show_json, show_table
from hubfs.config import Settings
from hubfs.control.client import Json
from hubfs.errors import HubfsError, UsageError
from hubfs.jobs.selection import EAGER_SIZE
from hubfs.model.units import counted, size_text

_EAGER = click.option(
    "--eager-size",
    type=SIZE,
    default=EAGER_SIZE,
    help="Metadata files below it are fetched at once.  [default: 10M]",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.command()
@click.argument("repo", metavar="REPO[@REV]")
@click.option("--no-sync", is_flag=True, help="Only remember the name.")
@click.option("--wait", is_flag=True, help="Return when it is synced.")
@_JSON
@engine_options
def register(repo: str, *, no_sync: bool, wait: bool, as_json: bool, settings: Settings) -> None:
    r"""Make REPO known, and sync it in the background.

    \b
    Examples:
      hubfs register Qwen/Qwen3-0.6B
      hubfs register datasets/stanfordnlp/imdb --wait
    """
    name, revision = split_revision(repo)
    with reached(settings) as engine:
        # Without a daemon, nobody would sync it after the command has ended.
        waits = wait or not engine.is_daemon
        wish = {"repo": name, "revision": revision, "auto_sync": not no_sync, "awaited": waits}
        known = engine.client.post("/v1/hub/register", wish)
        job = known["job"]
        jobs = follow(engine, [job["id"]]) if job and waits else []
        if as_json:
            show_json({**known, "job": jobs[0] if jobs else job})
        elif not jobs:
            click.echo(_told_of(known["repo"], job))
        conclude(jobs)
        if jobs and not as_json:
            _tell_of_sync(jobs[0])


def _told_of(repo: str, job: Json | None) -> str:
    if job is None:
        return f"{repo} is known"
    # The Hub has yet to answer, and what it refuses does not become known.
    return f"job {job['id']} syncs {repo}: hubfs jobs {job['id']} --follow"


@click.command()
@click.argument("repos", nargs=-1, metavar="[REPO[@REV]]...", shell_complete=complete_repo)
@click.option("--all", "everything", is_flag=True, help="Sync all known repos.")
@click.option("--wait", is_flag=True, help="Return when it is done.")
@_EAGER
@_JSON
@engine_options
def sync(
    repos: tuple[str, ...],
    *,
    everything: bool,
    wait: bool,
    eager_size: int,
    as_json: bool,
    settings: Settings,
) -> None:
    r"""List the files of REPO anew, and fetch small metadata files.

    \b
    Examples:
      hubfs sync Qwen/Qwen3-0.6B --wait
      hubfs sync --all
    """
    if everything == bool(repos):
        raise UsageError("what is to be synced?", hint="either name repos, or give --all")
    wishes: list[Json] = [{"all": True}] if everything else [_named(repo) for repo in repos]
    with reached(settings) as engine:
        waits = wait or not engine.is_daemon
        common = {"eager_size": eager_size, "awaited": waits}
        queued = [engine.client.post("/v1/hub/sync", {**wish, **common}) for wish in wishes]
        _finish(engine, queued, waits=waits, as_json=as_json)


def _named(repo: str) -> Json:
    name, revision = split_revision(repo)
    return {"repo": name, "revision": revision}


def _finish(engine: Reached, queued: list[Json], *, waits: bool, as_json: bool) -> None:
    if not waits:
        if as_json:
            show_json(queued)
        else:
            for job in queued:
                click.echo(f"job {job['id']} is queued: hubfs jobs {job['id']} --follow")
        return
    jobs = follow(engine, [job["id"] for job in queued])
    if as_json:
        show_json(jobs)
    conclude(jobs)
    if not as_json:
        for job in jobs:
            _tell_of_sync(job)


def _tell_of_sync(job: Json) -> None:
    result = job["result"]
    if "commit" in result:
        held = f"{files_text(result['files'])}, {size_text(result['size'])}"
        click.echo(f"{result['repo']} at {result['commit'][:12]}: {held}")
    elif "repos" in result:
        click.echo(f"{counted(result['repos'], 'repo')} synced")


@click.command()
@click.argument("repo", required=False, metavar="[REPO[@REV]]", shell_complete=complete_repo)
@_JSON
@engine_options
def ls(repo: str | None, *, as_json: bool, settings: Settings) -> None:
    r"""List the known repos, or the files of REPO.

    Of a file it says what it is, and how much of it is on this node. A repo
    that is not known is synced first.

    \b
    Examples:
      hubfs ls
      hubfs ls Qwen/Qwen3-0.6B
      hubfs ls Qwen/Qwen3-0.6B@main --json
    """
    wanted = None if repo is None else split_revision(repo)
    with reached(settings) as engine:
        if wanted is None:
            _list_repos(list(engine.client.repos(cached=True)), as_json=as_json)
        else:
            _list_files(_found(engine, *wanted), as_json=as_json)


def _found(engine: Reached, name: str, revision: str) -> Json:
    found = engine.client.find_repo(name, revision)
    if found is None or found["commit"] is None:
        wish = {"repo": name, "revision": revision, "eager_size": 0, "awaited": True}
        jobs = follow(engine, [engine.client.post("/v1/hub/sync", wish)["id"]])
        conclude(jobs)
        found = engine.client.find_repo(jobs[0]["result"]["repo"], revision)
    if found is None:
        raise HubfsError(f"{name} is not known")
    return found


def _list_repos(repos: list[Json], *, as_json: bool) -> None:
    if as_json:
        show_json(repos)
        return
    show_table(
        ("REPO", "STATUS", "FILES ", "SIZE ", "HERE "),
        [
            (
                repo["repo"],
                repo["status"],
                str(repo["files"]),
                size_text(repo["size"]),
                "?" if repo["cached"] is None else size_text(repo["cached"]),
            )
            for repo in repos
        ],
    )


def _list_files(found: Json, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    show_table(
        ("KIND", "FORMAT", "PRECISION", "SIZE ", "HERE ", "PATH"), map(_row, found["listing"])
    )


def _row(file: dict[str, Any]) -> tuple[str, ...]:
    here = {"complete": "all", "absent": "-"}.get(file["state"])
    if here is None:
        here = f"{file['cached'] * 100 // max(1, file['size'])}%"
    size = size_text(file["size"])
    return (file["kind"], file["format"], file["precision"], size, here, file["path"])
