"""`hubfs work`, which nobody types: an engine that ends with its last job; and completion."""

from __future__ import annotations

import os
import signal

import click
from click.shell_completion import get_completion_class

from hubfs.cli.background import Readiness
from hubfs.cli.ending import deaf_at_the_end, terminable
from hubfs.cli.logfiles import open_log
from hubfs.cli.reaching import engine_options
from hubfs.config import Settings
from hubfs.control.roles import Role
from hubfs.errors import HubfsError


@click.command(hidden=True)
@click.option("--ready-fd", type=int)
@click.option("--linger", type=click.FloatRange(min=0), default=2.0)
@engine_options
def work(*, ready_fd: int | None, linger: float, settings: Settings) -> None:
    """Own the cache and do what is asked over its socket, until nothing is left to do."""
    from hubfs.daemon.worker import Worker  # noqa: PLC0415 - heavy

    os.chdir("/")
    log = open_log(settings, foreground=ready_fd is None)
    # It ends soon, and takes no new settings; but its log may be rotated.
    signal.signal(signal.SIGHUP, lambda *_: log.reopen())
    readiness = Readiness(ready_fd)
    ends = signal.SIGTERM
    is_done = False
    try:
        while not is_done:
            worker = Worker(settings, Role.JOBS)
            with terminable(ends), worker, deaf_at_the_end(ends):
                readiness.announce()
                worker.end_when_idle(linger)
                worker.join()
            is_done = not worker.left  # or one came in the moment of its end
    except HubfsError as error:
        if readiness.refuse(error):
            raise click.exceptions.Exit(1) from None  # whoever asked for it says so, if need be
        raise


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print what makes SHELL complete commands and names of repos.

    \b
    Examples:
      eval "$(hubfs completion bash)"                                  # in ~/.bashrc
      eval "$(hubfs completion zsh)"                                   # in ~/.zshrc
      hubfs completion fish > ~/.config/fish/completions/hubfs.fish
    """
    from hubfs.cli.main import main  # noqa: PLC0415 - it knows this command

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows the three
    click.echo(found(main, {}, "hubfs", "_HUBFS_COMPLETE").source())
