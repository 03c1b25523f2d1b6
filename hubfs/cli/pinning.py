"""`hubfs pin` and `hubfs unpin`: what stays here whatever else is read."""

from __future__ import annotations

import click

from hubfs.cli.reaching import complete_repo, engine_options, reached, split_revision
from hubfs.cli.showing import files_text, show_json, show_table
from hubfs.config import Settings
from hubfs.control.client import Client, Json
from hubfs.errors import UsageError
from hubfs.model.units import counted, size_text

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
_SUBJECTS = click.argument(
    "subjects", nargs=-1, metavar="[REPO[@REV][:GLOB]]...", shell_complete=complete_repo
)


@click.command()
@_SUBJECTS
@_JSON
@engine_options
def pin(subjects: tuple[str, ...], *, as_json: bool, settings: Settings) -> None:
    r"""Let the files of REPO stay here when room is made.

    Without REPO, list what is pinned.

    A pin means what its names mean: when a branch moves on, it keeps what the
    new commit has. It fetches nothing; hubfs prefetch does.

    \b
    Examples:
      hubfs pin Qwen/Qwen3-0.6B
      hubfs pin unsloth/Qwen3-0.6B-GGUF:'*Q4_K_M*'
      hubfs pin Qwen/Qwen3-0.6B@v1.0
      hubfs pin
    """
    wishes = [_wish(each) for each in subjects]
    with reached(settings) as engine:
        if not wishes:
            _list(engine.client.get("/v1/hub/pins")["pins"], as_json=as_json)
            return
        pinned = [engine.client.post("/v1/hub/pins", each) for each in wishes]
        if as_json:
            show_json(pinned)
        for each in () if as_json else pinned:
            _tell(each)


@click.command()
@_SUBJECTS
@click.option("--all", "everything", is_flag=True, help="Let everything go.")
@_JSON
@engine_options
def unpin(
    subjects: tuple[str, ...], *, everything: bool, as_json: bool, settings: Settings
) -> None:
    r"""Let pinned files go again, when room is wanted. Nothing is deleted now.

    \b
    Examples:
      hubfs unpin Qwen/Qwen3-0.6B
      hubfs unpin unsloth/Qwen3-0.6B-GGUF:'*Q4_K_M*'
      hubfs unpin --all
    """
    if everything == bool(subjects):
        raise UsageError("what is to be unpinned?", hint="either name pins, or give --all")
    wishes = [_wish(each) for each in subjects]
    with reached(settings) as engine:
        wishes = _pinned(engine.client) if everything else wishes
        for each in wishes:
            engine.client.delete("/v1/hub/pins", **each)
        left = engine.client.get("/v1/hub/pins")["pins"]
        if as_json:
            show_json(left)
        else:
            gone = counted(len(wishes), "pin is gone", "pins are gone")
            click.echo(f"{gone}, {len(left)} left")


def _wish(subject: str) -> dict[str, str]:
    """`org/name@REV:GLOB` as the API takes it: no name of a revision has a colon."""
    named, _, pattern = subject.partition(":")
    repo, revision = split_revision(named)
    return {"repo": repo, "revision": revision, "pattern": pattern}


def _pinned(client: Client) -> list[dict[str, str]]:
    found = client.get("/v1/hub/pins")["pins"]
    return [{name: each[name] for name in ("repo", "revision", "pattern")} for each in found]


def _text(pin: Json) -> str:
    revision = f"@{pin['revision']}" if pin["revision"] else ""
    return f"{pin['repo']}{revision}" + (f":{pin['pattern']}" if pin["pattern"] else "")


def _tell(pin: Json) -> None:
    text = f"{_text(pin)} is pinned: "
    if not pin["is_known"]:
        click.echo(text + "nothing yet, since it has not been listed")
        click.echo(f"  list it: hubfs sync {_text(pin).partition(':')[0]}")
        return
    click.echo(text + f"{files_text(pin['files'])}, {size_text(pin['size'])}")
    if not pin["files"]:
        click.secho("  none of its files is called so now: hubfs ls tells their names", fg="yellow")
    if pin["cached"] < pin["size"]:
        missing = size_text(pin["size"] - pin["cached"])
        click.echo(f"  {missing} of it are not here; to fetch them: hubfs prefetch")


def _list(pins: list[Json], *, as_json: bool) -> None:
    if as_json:
        show_json(pins)
        return
    rows = [
        (_text(each), str(each["files"]), size_text(each["size"]), size_text(each["cached"]))
        for each in pins
    ]
    show_table(("PIN", "FILES ", "SIZE ", "HERE "), rows)
