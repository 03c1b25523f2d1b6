"""The command line's root: what is common to all commands."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import click

from hubfs.cli.jobs import jobs, status
from hubfs.cli.mounting import mount, umount
from hubfs.cli.prefetching import prefetch
from hubfs.cli.repos import ls, register, sync
from hubfs.cli.working import completion, work
from hubfs.errors import HubfsError, UsageError


class _Group(click.Group):
    """Turns every expected failure into one sentence, a hint and an exit code: 2 for misuse."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own type
        try:
            return super().invoke(ctx)
        except HubfsError as error:
            complain(error)
            ctx.exit(2 if isinstance(error, UsageError) else 1)


def complain(error: HubfsError) -> None:
    """Say what is wrong and what to do, on standard error."""
    click.secho(f"hubfs: {error}", fg="red", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("hubfs"), prog_name="hubfs")
def main() -> None:
    r"""Mount the Hugging Face Hub as one directory.

    Every repo is a directory, every file is there at once, bytes arrive when
    something reads them, and what has been read is on local disk for good.

    \b
    Examples:
      hubfs mount /models
      cat /models/openai-community/gpt2/config.json
      hubfs umount /models
    """


def _add(command: click.Command) -> None:
    main.add_command(_with_paragraphs(command))


def _with_paragraphs(command: click.Command) -> click.Command:
    """Docstrings are raw, so click's mark for "leave these lines as they are" is two characters."""
    command.help = (command.help or "").replace(r"\b", "\b")
    return command


_with_paragraphs(main)
for each in (
    mount,
    umount,
    register,
    sync,
    prefetch,
    ls,
    jobs,
    status,
    completion,
    work,
):
    _add(each)
