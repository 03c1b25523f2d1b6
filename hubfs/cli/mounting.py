"""`hubfs mount` and `hubfs umount`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from hubfs.cli.background import Readiness, start
from hubfs.cli.checking import checked, warn_of_exposed, warn_of_token
from hubfs.cli.logfiles import LOG_NAME, log_file_of
from hubfs.cli.options import PUBLIC, given_sources, options_of
from hubfs.cli.paths import PATH
from hubfs.cli.serving import serve
from hubfs.config import Settings
from hubfs.config.places import absolute
from hubfs.config.resolving import Sources
from hubfs.daemon.registry import find_running, wait_for_exit
from hubfs.errors import MountFailed, UsageError
from hubfs.fuse import kernel, mountpoints

LONGEST_STOP = 10.0


@click.command()
@click.argument("directory", type=PATH)
@options_of(PUBLIC)
@click.option("-f", "--foreground", is_flag=True, help="Stay, and log to standard error.")
@click.option("-v", "--verbose", is_flag=True, help="The same as --log-level info.")
@click.option("--ready-fd", type=int, hidden=True)
def mount(
    directory: Path,
    *,
    foreground: bool,
    verbose: bool,
    ready_fd: int | None,
    **given: str | bool | None,
) -> None:
    r"""Mount the Hub at DIRECTORY, and return when it is there.

    Each option is also a variable, HUBFS_METADATA_TTL, and a key of a configuration
    file, metadata_ttl = 60; the command line comes first, then the environment.

    \b
    Examples:
      hubfs mount /models
      hubfs mount ~/hub --cache-dir /data/hubfs --limit-rate 50M
      HF_ENDPOINT=https://hub.example hubfs mount /models --allow-other
    """
    given["log_level"] = given["log_level"] or ("info" if verbose else None)
    sources, mountpoint = given_sources(given), absolute(directory)
    if foreground or ready_fd is not None:
        layer = sources.combined()
        settings = checked(layer, mountpoint)
        if foreground:
            if settings.log.log_file is not None:
                warn_of_exposed(layer)  # the log, which says it too, is not before anybody's eyes
            warn_of_token(layer)
        serve(sources, layer, mountpoint, Readiness(ready_fd), foreground=ready_fd is None)
        return
    settings = launch(sources, mountpoint)
    click.echo(f"{settings.endpoint} is mounted at {settings.mountpoint}")
    click.echo(f"  cache  {settings.cache_dir}")
    click.echo(f"  log    {log_file_of(settings)}")
    click.echo(f"  stop   hubfs umount {settings.mountpoint}")


def launch(sources: Sources, mountpoint: Path, *, fake: bool = False) -> Settings:
    """Start the daemon that `sources` describe, or, if `fake`, only see that it could be right.

    Raises:
        UsageError: it could not.
        HubfsError: it ended before it was ready.
    """
    layer = sources.combined()
    settings = checked(layer, mountpoint)
    warn_of_exposed(layer)
    warn_of_token(layer)
    if not fake:
        start(["mount", str(mountpoint), *sources.arguments()], log_file_of(settings))
    return settings


@click.command()
@click.argument("directory", type=PATH)
@click.option("--lazy", is_flag=True, help="Detach it now, under programs that still use it.")
@click.option("--force", is_flag=True, help="End it even if its daemon is stuck; needs root.")
def umount(directory: Path, *, lazy: bool, force: bool) -> None:
    r"""Unmount DIRECTORY, and return when its daemon has ended.

    \b
    Examples:
      hubfs umount /models
      hubfs umount --lazy /models
      hubfs umount --force /models
    """
    path = absolute(directory)
    found = kernel.find_mount(path)
    if found is None or found.type != mountpoints.TYPE:
        raise MountFailed(f"nothing of hubfs is mounted at {path}")
    running = find_running(path, _usual_cache())
    if force:
        mountpoints.force_unmount(path)
    else:
        mountpoints.unmount(path, lazy=lazy)
    if running and not lazy and not wait_for_exit(running.pid, LONGEST_STOP):
        hint = f"see its log, {running.cache_dir}/{LOG_NAME}"
        raise MountFailed(f"process {running.pid} has not ended yet", hint=hint)


def _usual_cache() -> Path | None:
    """The cache of whoever mounts without saying which; a wrong setting hinders no unmounting."""
    with contextlib.suppress(UsageError):
        return given_sources({}).settings().cache_dir
    return None
