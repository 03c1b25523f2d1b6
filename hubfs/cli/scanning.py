"""`hubfs scan`: what is on disk already becomes part of the cache."""

from __future__ import annotations

from pathlib import Path

import click

from hubfs.cli.following import conclude, follow
from hubfs.cli.handing import ensure_daemon
from hubfs.cli.paths import PATH
from hubfs.cli.reaching import Reached, engine_options, reached
from hubfs.cli.showing import show_json, show_table
from hubfs.config import Settings
from hubfs.config.places import absolute, hub_cache_dir
from hubfs.control.client import Json
from hubfs.errors import UsageError
from hubfs.model.units import counted, size_text

_FATES = {
    "adopted": "adopted",
    "known": "known already",
    "unknown": "unknown",
    "skipped": "skipped",
    "failed": "failed",
}


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=PATH)
@click.option("--copy", is_flag=True, help="Copy where no blocks can be shared; never link.")
@click.option("--all", "everything", is_flag=True, help="Adopt every file, not only models.")
@click.option("--background", is_flag=True, help="Return at once; a daemon does the work.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
def scan(
    paths: tuple[Path, ...],
    *,
    copy: bool,
    everything: bool,
    background: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    r"""Adopt what is on disk already, so that it is never downloaded.

    PATH is a Hub client's cache, a folder of models, or a file; without one,
    it is the Hub client's cache (HF_HUB_CACHE, HF_HOME). Files are hashed and
    found by what they hold, whatever they are called. Nothing in PATH changes.

    A file shares its blocks with the cache where the file system can do that
    (Btrfs, XFS). Elsewhere it is linked: do not change it in place; a change is
    noticed, and the file is then downloaded after all.

    \b
    Examples:
      hubfs scan
      hubfs scan ~/.lmstudio/models ~/.cache/llama.cpp
      hubfs scan /mnt/other-disk --copy
      hubfs scan ~/datasets --all --background

    \b
    adopted        part of the cache now
    known already  was part of it, or is the same as another file
    unknown        neither a model nor a file of a repo that is known; left alone
    skipped        empty, unfinished, or a cache's own bookkeeping
    failed         cannot be read, or neither shared nor linked

    \b
    Exit codes:
      0  done (with --background: queued)
      1  some files failed; they are named
      2  there is no such folder
      130  Ctrl-C; what was adopted stays, and the same command goes on
    """
    common = {"copy": copy, "all": everything, "background": background}
    wishes = [{"path": str(each), **common} for each in _found(paths or (hub_cache_dir(),))]
    if background:
        ensure_daemon(settings)
    with reached(settings) as engine:
        queued = [engine.client.post("/v1/hub/scan", wish) for wish in wishes]
        if background:
            _tell(queued, as_json=as_json)
        else:
            _wait(engine, queued, as_json=as_json)


def _found(paths: tuple[Path, ...]) -> list[Path]:
    found = [absolute(each) for each in paths]
    for path in found:
        if not path.exists():
            raise UsageError(f"there is no {path}", hint="name a folder, or a file")
    return found


def _tell(queued: list[Json], *, as_json: bool) -> None:
    if as_json:
        show_json(queued)
        return
    for job in queued:
        click.echo(f"job {job['id']} is queued: hubfs jobs {job['id']} --follow")


def _wait(engine: Reached, queued: list[Json], *, as_json: bool) -> None:
    jobs = follow(engine, [job["id"] for job in queued])
    if as_json:
        show_json(jobs)
    for job in () if as_json else jobs:
        _report(job)
    conclude(jobs)


def _report(job: Json) -> None:
    result = job["result"]
    if "adopted" not in result:
        return
    click.echo(job["arguments"]["path"])
    rows = [
        (text, str(result[fate]["files"]), size_text(result[fate]["bytes"]))
        for fate, text in _FATES.items()
    ]
    show_table(("", "FILES ", "SIZE "), rows)
    hows = ", ".join(f"{count} by {how}" for how, count in result["hows"].items())
    if hows:
        click.echo(f"adopted: {hows}")
    repos = result.get("repos", {})
    if repos.get("listed"):
        click.echo(f"{counted(repos['listed'], 'repo')} can be listed and read without the Hub")
    if repos.get("unlisted"):
        click.echo(f"{counted(repos['unlisted'], 'repo')} can be read without the Hub, not listed")
