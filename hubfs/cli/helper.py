"""`mount.hubfs` and `mount.fuse.hubfs`: what mount(8) runs for the type hubfs, and for fstab."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hubfs.cli.main import complain, with_paragraphs
from hubfs.cli.mounting import launch
from hubfs.cli.mountoptions import Given, parse
from hubfs.cli.options import given_sources
from hubfs.cli.paths import PATH
from hubfs.config.places import absolute
from hubfs.errors import HubfsError, MountFailed, UsageError

SPEC = "hubfs"
MISUSE, FAILED = 1, 32  # as mount(8) has them


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("spec")
@click.argument("directory", type=PATH)
@click.option("-o", "options", multiple=True, metavar="OPT[=VALUE],...", help="Settings.")
@click.option("-s", "sloppy", is_flag=True, help="Pass over options that there are not.")
@click.option("-f", "fake", is_flag=True, help="Check everything, and mount nothing.")
@click.option("-n", is_flag=True, expose_value=False, help="Means nothing: there is no mtab.")
@click.option("-v", "verbose", is_flag=True, help="Say what is mounted.")
@click.option("-t", expose_value=False, metavar="TYPE", help="Means nothing: it is hubfs.")
def helper(
    spec: str, directory: Path, *, options: tuple[str, ...], sloppy: bool, fake: bool, verbose: bool
) -> None:
    r"""Mount the Hub at DIRECTORY, as `hubfs mount` does. mount(8) runs this.

    SPEC is the word hubfs, or an endpoint. Options are those of `hubfs mount`,
    with underscores or dashes: cache_dir=/data,allow_other.

    \b
    Examples:
      mount -t hubfs hubfs /models -o cache_dir=/data/hubfs,allow_other
      mount -t hubfs https://hub.example /models

    \b
    In /etc/fstab:
      hubfs  /models  hubfs  allow_other,cache_dir=/data/hubfs,_netdev,nofail  0 0
    """
    sources = given_sources(_given(spec, parse(options, sloppy=sloppy)))
    settings = launch(sources, absolute(directory), fake=fake)
    if verbose:
        click.echo(f"{settings.endpoint} is mounted at {settings.mountpoint}")


def _given(spec: str, options: Given) -> Given:
    # mount(8) names it in full where a file of that name is.
    if spec == SPEC or (spec.startswith("/") and spec.endswith(f"/{SPEC}")):
        return options
    if "endpoint" in options:
        raise UsageError("the endpoint is given twice", hint=f"mount {SPEC}, or leave the option")
    return options | {"endpoint": spec}


def main() -> None:
    """Run it, and exit as mount(8) expects of a helper."""
    try:
        with_paragraphs(helper).main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(MISUSE)
    except HubfsError as error:
        complain(error)
        # For mount(8) itself, a place to mount at that is none is a mount that failed.
        is_misuse = isinstance(error, UsageError) and not isinstance(error, MountFailed)
        sys.exit(MISUSE if is_misuse else FAILED)
