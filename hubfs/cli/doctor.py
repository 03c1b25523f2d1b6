"""`hubfs doctor`: what is right here, what is not, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click

from hubfs.cli.paths import PATH
from hubfs.cli.reaching import engine_options
from hubfs.cli.showing import show_json
from hubfs.config import Settings
from hubfs.config.places import absolute
from hubfs.daemon.diagnosis.apart import carried_out
from hubfs.daemon.diagnosis.checks import Checks
from hubfs.daemon.diagnosis.verdicts import Level, Verdict
from hubfs.model.text import shown
from hubfs.model.units import counted

_COLOURS = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "red"}


@click.command()
@click.argument("directory", type=PATH, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
def doctor(directory: Path | None, *, as_json: bool, settings: Settings) -> None:
    r"""Check machine, disk and network, and say what to do.

    With DIRECTORY, check as well whether the Hub can be mounted there. Nothing
    is changed, and a daemon that runs is not disturbed.

    \b
    Examples:
      hubfs doctor
      hubfs doctor /models --cache-dir /data/hubfs
      hubfs doctor --json | jq '.verdicts[] | select(.level == "problem")'

    \b
    Exit codes:
      0  there is no problem; notes say what could be better
      1  there is a problem
      2  an option cannot be right
    """
    if directory is not None:
        settings = replace(settings, mountpoint=absolute(directory))
    found = _verdicts(settings)
    verdicts = list(found) if as_json else list(map(_told, found))
    counts = Counter(each.level for each in verdicts)
    if as_json:
        show_json({"verdicts": [asdict(each) for each in verdicts], "counts": counts})
    else:
        notes, problems = counts[Level.NOTE], counts[Level.PROBLEM]
        click.echo(f"{counted(problems, 'problem')}, {counted(notes, 'note')}")
    if counts[Level.PROBLEM]:
        raise click.exceptions.Exit(1)


def _verdicts(settings: Settings) -> Iterator[Verdict]:
    for verdicts in carried_out(Checks(settings).all()):
        yield from verdicts


def _told(verdict: Verdict) -> Verdict:
    """Print a verdict as soon as it is there, and pass it on."""
    mark = click.style(f"{verdict.level:<8}", fg=_COLOURS[verdict.level])
    click.echo(f"{mark} {verdict.check:<13} {shown(verdict.finding)}")
    if verdict.advice:
        click.echo(f"{'':<22} {shown(verdict.advice)}")
    return verdict
