"""`hubfs mount` and `hubfs umount`."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hubfs.cli.background import Readiness, start
from hubfs.cli.quantities import SIZE, SecondsType
from hubfs.config import (
    DEFAULT_ENDPOINT,
    ControlSettings,
    FetchSettings,
    Fill,
    Passthrough,
    Settings,
    default_cache_dir,
    is_offline_by_environment,
)
from hubfs.daemon.registry import find_running, log_file_beside, wait_for_exit
from hubfs.errors import HubfsError, MountFailed, UsageError
from hubfs.fuse import kernel, mountpoints
from hubfs.hub.urls import checked_endpoint

LOG_NAME = "hubfs.log"
LONGEST_STOP = 10.0
LONGEST_CHAIN = 40  # of symlinks, as in the kernel
_FETCH = FetchSettings()


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--endpoint",
    envvar="HF_ENDPOINT",
    default=DEFAULT_ENDPOINT,
    show_default=True,
    help="The Hub, or a server that speaks its API; also HF_ENDPOINT.",
)
@click.option(
    "--cache-dir",
    envvar="HUBFS_CACHE_DIR",
    type=click.Path(path_type=Path),
    help="Where bytes and metadata are kept; also HUBFS_CACHE_DIR.  [default: ~/.cache/hubfs]",
)
@click.option("--offline", is_flag=True, help="Make no request at all; also HF_HUB_OFFLINE=1.")
@click.option(
    "--metadata-ttl",
    type=SecondsType(0),
    default=60.0,
    show_default=True,
    help="Seconds after which a branch is checked again, in the background.",
)
@click.option(
    "--fill",
    type=click.Choice([each.value for each in Fill]),
    default=_FETCH.fill.value,
    show_default=True,
    help="When to fetch the rest of a file that is read in part.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1, 256),
    default=_FETCH.max_connections,
    show_default=True,
    help="Connections for contents, over all files.",
)
@click.option(
    "--limit-rate",
    type=SIZE,
    default=_FETCH.limit_rate,
    help="Bytes per second for contents, such as 50M.  [default: no limit]",
)
@click.option(
    "--patience",
    type=SecondsType(1),
    default=_FETCH.patience,
    show_default=True,
    help="Seconds for which a read goes on trying while nothing arrives.",
)
@click.option(
    "--idle-timeout",
    type=SecondsType(1),
    default=_FETCH.idle_timeout,
    show_default=True,
    help="Seconds of silence after which a connection is given up.",
)
@click.option(
    "--passthrough",
    type=click.Choice([each.value for each in Passthrough]),
    default=Passthrough.AUTO.value,
    show_default=True,
    help="Let the kernel read complete files by itself: needs root and Linux 6.9.",
)
@click.option(
    "--http",
    envvar="HUBFS_HTTP",
    default="",
    metavar="HOST:PORT",
    help="Serve the control API by TCP too; HUBFS_HTTP_TOKEN is the token it asks for.",
)
@click.option("--allow-other", is_flag=True, help="Let other users see the mount.")
@click.option("-f", "--foreground", is_flag=True, help="Stay, and log to standard error.")
@click.option("-v", "--verbose", is_flag=True, help="Log what is fetched and why.")
@click.option("--ready-fd", type=int, hidden=True)
def mount(
    directory: Path,
    cache_dir: Path | None,
    *,
    foreground: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401 - click's own
) -> None:
    r"""Mount the Hub at DIRECTORY, and return when it is there.

    \b
    Examples:
      hubfs mount /models
      hubfs mount ~/hub --cache-dir /data/hubfs --limit-rate 50M
      HF_ENDPOINT=https://hub.example hubfs mount /models --allow-other
    """
    ready_fd = options.pop("ready_fd")
    settings = settings_of(directory, cache_dir, options)
    if foreground or ready_fd is not None:
        serve(settings, Readiness(ready_fd), verbose=verbose)
        return
    log_file = log_file_of(settings)
    start(arguments_of(settings, verbose=verbose), log_file)
    click.echo(f"{settings.endpoint} is mounted at {settings.mountpoint}")
    click.echo(f"  cache  {settings.cache_dir}")
    click.echo(f"  log    {log_file}")
    click.echo(f"  stop   hubfs umount {settings.mountpoint}")


def settings_of(directory: Path, cache_dir: Path | None, options: dict[str, Any]) -> Settings:
    """The settings that the options name.

    Raises:
        UsageError: one of them cannot be right.
    """
    mountpoint, cache = absolute(directory), absolute(cache_dir or default_cache_dir())
    refuse_nesting(mountpoint, cache)
    return Settings(
        mountpoint=mountpoint,
        cache_dir=cache,
        endpoint=checked_endpoint(options["endpoint"]),
        offline=options["offline"] or is_offline_by_environment(),
        metadata_ttl=options["metadata_ttl"],
        allow_other=options["allow_other"],
        passthrough=Passthrough(options["passthrough"]),
        control=control_of(options["http"]),
        fetch=replace(
            _FETCH,
            fill=Fill(options["fill"]),
            max_connections=options["max_connections"],
            limit_rate=options["limit_rate"],
            patience=options["patience"],
            idle_timeout=options["idle_timeout"],
        ),
    )


def control_of(http: str) -> ControlSettings:
    """Who else may control the daemon. Secrets come from the environment: arguments are public.

    Raises:
        UsageError: `http` cannot be listened at.
    """
    token = os.environ.get("HUBFS_HTTP_TOKEN", "")
    if http:
        check_listening(http, token)
    return ControlSettings(
        http,
        token,
        webhook=os.environ.get("HUBFS_WEBHOOK", ""),
        webhook_secret=os.environ.get("HUBFS_WEBHOOK_SECRET", ""),
    )


def check_listening(address: str, token: str) -> None:
    """See to it that the daemon may serve the control API at `address`.

    Raises:
        UsageError: it is no address, or one that needs a token.
    """
    from hubfs.control.guards import TcpRules  # noqa: PLC0415 - as in `serve`
    from hubfs.control.sockets import parse_address  # noqa: PLC0415

    TcpRules(parse_address(address)[0], token)


def arguments_of(settings: Settings, *, verbose: bool) -> list[str]:
    """The command that serves exactly these settings, whatever the environment says."""
    fetch = settings.fetch
    arguments = ["mount", str(settings.mountpoint), "--cache-dir", str(settings.cache_dir)]
    values = {
        "endpoint": settings.endpoint,
        "metadata-ttl": settings.metadata_ttl,
        "passthrough": settings.passthrough.value,
        "fill": fetch.fill.value,
        "max-connections": fetch.max_connections,
        "limit-rate": fetch.limit_rate,
        "patience": fetch.patience,
        "idle-timeout": fetch.idle_timeout,
        "http": settings.control.http,
    }
    for name, value in values.items():
        arguments += [f"--{name}", str(value)]
    flags = {
        "offline": settings.offline,
        "allow-other": settings.allow_other,
        "verbose": verbose,
    }
    return arguments + [f"--{name}" for name, is_set in flags.items() if is_set]


def absolute(path: Path) -> Path:
    """`path` as the kernel names it, without asking what is mounted there: it may be dead."""
    path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would ask it
    for _ in range(LONGEST_CHAIN):
        path = path.parent.resolve() / path.name
        try:
            path = Path(os.path.abspath(path.parent / path.readlink()))  # noqa: PTH100
        except OSError:
            return path
    raise UsageError(f"{path} is a symlink to itself")


def refuse_nesting(mountpoint: Path, cache: Path) -> None:
    """A mount that hides its own cache, or lies in it, could serve nothing.

    Raises:
        UsageError: one is within the other.
    """
    hint = "choose another directory with --cache-dir"
    if cache.is_relative_to(mountpoint):
        raise UsageError(f"the cache {cache} is inside the mountpoint {mountpoint}", hint=hint)
    if mountpoint.is_relative_to(cache):
        raise UsageError(f"the mountpoint {mountpoint} is inside the cache {cache}", hint=hint)


def log_file_of(settings: Settings) -> Path:
    """Where a daemon in the background logs: in its cache, or elsewhere if that is read-only."""
    cache = settings.cache_dir
    is_read_only = cache.is_dir() and not os.access(cache, os.W_OK)
    return log_file_beside(settings.mountpoint or cache) if is_read_only else cache / LOG_NAME


def serve(settings: Settings, readiness: Readiness, *, verbose: bool) -> None:
    """Be the daemon, until unmounted or told to stop.

    Raises:
        HubfsError: it could not begin; whoever started it has been told.
    """
    # What a daemon is made of takes half a second to load: who only starts one does without.
    from hubfs.daemon import daemon  # noqa: PLC0415

    os.chdir("/")  # the daemon must not keep the directory it was started from busy
    configure_logging(verbose=verbose)
    try:
        daemon.run(settings, readiness.announce)
    except HubfsError as error:
        readiness.refuse(error)
        raise


def configure_logging(*, verbose: bool) -> None:
    """One line an event on standard error; the log file of a background daemon."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # httpx names whole addresses, and contents' addresses hold signatures.
    logging.getLogger("httpx").setLevel(logging.WARNING)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--lazy", is_flag=True, help="Detach it now, under programs that still use it.")
@click.option("--force", is_flag=True, help="End it even if its daemon does not answer.")
def umount(directory: Path, *, lazy: bool, force: bool) -> None:
    r"""Unmount DIRECTORY, and return when its daemon has ended.

    \b
    Examples:
      hubfs umount /models
      hubfs umount --lazy /models
    """
    path = absolute(directory)
    found = kernel.find_mount(path)
    if found is None or found.type != mountpoints.TYPE:
        raise MountFailed(f"nothing of hubfs is mounted at {path}")
    running = find_running(path)
    if force:
        mountpoints.force_unmount(path)
    else:
        mountpoints.unmount(path, lazy=lazy)
    if running and not lazy and not wait_for_exit(running.pid, LONGEST_STOP):
        hint = f"see its log, {running.cache_dir}/{LOG_NAME}"
        raise MountFailed(f"process {running.pid} has not ended yet", hint=hint)
