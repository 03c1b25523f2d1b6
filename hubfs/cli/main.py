"""The command line's root: what is common to all commands."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import Any

import click

from hubfs.cli.ending import exit_code_of
from hubfs.errors import HubfsError, UsageError

# In the order of the help, with the modules they are in: each is loaded when it is called.
_COMMANDS = {
    "mount": "mounting",
    "umount": "mounting",
    "register": "repos",
    "sync": "repos",
    "prefetch": "prefetching",
    "verify": "verifying",
    "scan": "scanning",
    "export": "exporting",
    "ls": "repos",
    "pin": "pinning",
    "unpin": "pinning",
    "gc": "evicting",
    "rm": "evicting",
    "jobs": "jobs",
    "status": "jobs",
    "config": "configuring",
    "service": "service",
    "doctor": "doctor",
    "completion": "working",
    "work": "working",
}


_HELP = {"help_option_names": ["-h", "--help"]}


class _Group(click.Group):
    """Turns every expected failure into one sentence, a hint and an exit code: 2 for misuse."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names of all commands."""
        return [*_COMMANDS, *self.commands]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in _COMMANDS:
            return super().get_command(ctx, name)
        found: click.Command = getattr(import_module(f"hubfs.cli.{_COMMANDS[name]}"), name)
        found.context_settings.update(_HELP)  # click remembers how it was called first
        return with_paragraphs(found)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own type
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see hubfs.__main__
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if os.environ.get("NO_COLOR"):  # no-color.org; bars know it by themselves
            ctx.color = False
        try:
            return super().invoke(ctx)
        except HubfsError as error:
            complain(error)
            ctx.exit(2 if isinstance(error, UsageError) else 1)
        except BrokenPipeError:  # `hubfs ls | head`: click ends in silence
            raise
        except OSError as error:  # the output's own trouble; all others are HubfsErrors by now
            complain(HubfsError(error.strerror or str(error)))
            ctx.exit(1)
        except KeyboardInterrupt as interrupt:  # who had something to say about it has said it
            ctx.exit(exit_code_of(interrupt))


def with_paragraphs(command: click.Command) -> click.Command:
    """Docstrings are raw, so click's mark for "leave these lines as they are" is two characters."""
    command.help = (command.help or "").replace(r"\b", "\b")
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        with_paragraphs(each)
    return command


def complain(error: HubfsError) -> None:
    """Say what is wrong and what to do, on standard error."""
    click.secho(f"hubfs: {error}", fg="red", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


@click.group(cls=_Group, context_settings=_HELP)
@click.version_option(package_name="hubfs", prog_name="hubfs")
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


with_paragraphs(main)
