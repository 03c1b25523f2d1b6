"""`hubfs jobs` and `hubfs status`: what is going on."""

from __future__ import annotations

import time

import click

from hubfs.cli.ending import exit_code_of
from hubfs.cli.following import conclude, follow
from hubfs.cli.reaching import Reached, engine_options, reached
from hubfs.cli.showing import progress_text, show_json, show_table, subject_of
from hubfs.config import Settings
from hubfs.control.client import Json
from hubfs.errors import UsageError
from hubfs.model.text import shown
from hubfs.model.units import size_text

WATCH_EVERY = 2.0

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.command()
@click.argument("number", metavar="[ID]", type=click.IntRange(min=1), required=False)
@click.option("--follow", "is_followed", is_flag=True, help="Look on until it has ended.")
@click.option("--cancel", is_flag=True, help="Call it off; what it has brought stays.")
@click.option("--retry", is_flag=True, help="Queue it again; what is here is not fetched again.")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many to list."
)
@_JSON
@engine_options
def jobs(  # noqa: PLR0913 - an option is an argument
    number: int | None,
    *,
    is_followed: bool,
    cancel: bool,
    retry: bool,
    limit: int,
    as_json: bool,
    settings: Settings,
) -> None:
    r"""List jobs, newest first; or show job ID with its log.

    \b
    Examples:
      hubfs jobs
      hubfs jobs 17 --follow
      hubfs jobs 17 --cancel
      hubfs jobs 17 --retry --follow

    \b
    Exit codes:
      0  done; a job that is followed has completed
      1  the job has failed or was cancelled, or there is none of that id
      2  an option cannot be right
      130  Ctrl-C
    """
    if number is None and (is_followed or cancel or retry):
        raise UsageError("which job?", hint="give its id; hubfs jobs lists them")
    if cancel and (retry or is_followed):
        raise UsageError("--cancel goes alone", hint="leave the other option out")
    with reached(settings) as engine:
        if number is None:
            _list(engine.client.get("/v1/hub/jobs", limit=limit)["jobs"], as_json=as_json)
            return
        if cancel:
            engine.client.delete(f"/v1/hub/jobs/{number}")
        if retry:
            in_background = engine.is_daemon and not is_followed
            engine.client.post(f"/v1/hub/jobs/{number}/retry", background=in_background)
        # Without a daemon, a job that is tried again runs for as long as the command does.
        if is_followed or (retry and not engine.is_daemon):
            _follow(engine, number, as_json=as_json)
        else:
            _show(engine.client.job(number), as_json=as_json)


def _follow(engine: Reached, number: int, *, as_json: bool) -> None:
    ended = follow(engine, [number])
    if as_json:
        show_json(ended[0])
    conclude(ended)
    if not as_json:
        click.echo(f"job {number} completed  {progress_text(ended[0])}".rstrip())


def _list(found: list[Json], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    rows = [
        (str(job["id"]), job["kind"], job["state"], subject_of(job), _remark(job)) for job in found
    ]
    show_table(("ID ", "KIND", "STATE", "ABOUT", "PROGRESS"), rows)


def _remark(job: Json) -> str:
    return job["error"] if job["state"] == "failed" else progress_text(job)


def _show(job: Json, *, as_json: bool) -> None:
    if as_json:
        show_json(job)
        return
    show_table(
        ("ID ", "KIND", "STATE", "ABOUT", "PROGRESS"),
        [(str(job["id"]), job["kind"], job["state"], subject_of(job), progress_text(job))],
    )
    for name, reason in job["failures"].items():
        click.secho(f"  {shown(name)}: {reason}", fg="red")
    for line in job["logs"]:
        click.echo(f"  {line['at'][:19].replace('T', ' ')}  {line['level']:<7} {line['text']}")


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every two seconds.")
@_JSON
@engine_options
def status(*, watch: bool, as_json: bool, settings: Settings) -> None:
    r"""Say how daemon, cache and jobs are, and what went wrong.

    \b
    Examples:
      hubfs status
      hubfs status --json
      hubfs status --watch
    """
    try:
        _look(settings, as_json=as_json, clears=watch)
        while watch:
            time.sleep(WATCH_EVERY)  # without the cache, which a daemon may want meanwhile
            _look(settings, as_json=as_json, clears=True)
    except KeyboardInterrupt as interrupt:
        raise click.exceptions.Exit(exit_code_of(interrupt)) from None


def _look(settings: Settings, *, as_json: bool, clears: bool) -> None:
    with reached(settings) as engine:
        _show_status(engine, as_json=as_json, clears=clears)


def _show_status(engine: Reached, *, as_json: bool, clears: bool) -> None:
    found = engine.client.get("/v1/hub/status")
    live = engine.client.get("/v1/hub/jobs", state="running")["jobs"]
    if as_json:
        show_json({**found, "running": live, "is_daemon": engine.is_daemon})
        return
    if clears:
        click.clear()
    cache = found["cache"]
    who = f"process {found['pid']}" if engine.is_daemon else "not running"
    for name, text in (
        ("daemon", f"{who}, hubfs {found['version']}"),
        ("mount", found["mountpoint"] or "none"),
        ("reads", _mode_text(found["mode"])),
        ("hub", f"{found['endpoint']}, {found['hub']}"),
        ("cache", f"{cache['directory']}: {cache['blobs']} blobs, {size_text(cache['size'])}"),
        ("room", _room(cache)),
        ("disk", f"{size_text(cache['disk_available'])} of {size_text(cache['disk_total'])} free"),
        ("repos", str(found["repos"])),
        ("jobs", f"{found['jobs']['running']} running, {found['jobs']['pending']} waiting"),
        ("scrub", _scrub_text(found["scrub"])),
    ):
        click.echo(f"{name:<8}{text}")
    for job in live:
        click.echo(f"  {job['id']}  {job['kind']}  {subject_of(job)}  {progress_text(job)}")
    for trouble in found["troubles"][:5]:
        click.secho(f"  {trouble['at'][:19].replace('T', ' ')}  {trouble['text']}", fg="yellow")


def _mode_text(mode: Json | None) -> str:
    return f"{mode['way']}: {mode['reason']}" if mode else "none"


def _scrub_text(scrub: Json) -> str:
    text = str(scrub["state"])
    if scrub["state"] == "running":
        text += f", {size_text(scrub['size'])} of {size_text(scrub['size_total'])}"
    if scrub["flaws"]:
        text += f", {scrub['flaws']} flaws found"
    return text + (f"; last ended {scrub['ended_at'][:10]}" if scrub["ended_at"] else "")


def _room(cache: Json) -> str:
    """What the cache takes, of what it may."""
    text = f"{size_text(cache['taken'])} taken"
    if cache["budget"] is not None:
        text += f" of {size_text(cache['budget'])}"
    text += f", {size_text(cache['pinned'])} pinned, {size_text(cache['min_free'])} left free"
    if cache["evicted"]:
        at = cache["evicted"]["at"][:16].replace("T", " ")
        text += f", {size_text(cache['evicted']['size'])} deleted at {at}"
    return f"{text}; {cache['tight']}" if cache["tight"] else text
