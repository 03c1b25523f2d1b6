"""Reaching the engine that owns a cache: the daemon's, or else one of the command's own."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from hubfs.cli.mounting import absolute, control_of
from hubfs.config import (
    DEFAULT_ENDPOINT,
    Settings,
    default_cache_dir,
    is_offline_by_environment,
)
from hubfs.control.client import Client
from hubfs.control.sockets import short_address
from hubfs.errors import CacheInUse
from hubfs.hub.urls import checked_endpoint

F = TypeVar("F", bound=Callable[..., Any])

DAEMON_STARTS_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class Reached:
    """A client, and whether its engine goes on when the command ends."""

    client: Client
    is_daemon: bool


def engine_options(command: F) -> F:
    """Add the options that say which cache, and become one argument: `settings`."""

    @click.option(
        "--endpoint",
        envvar="HF_ENDPOINT",
        default=DEFAULT_ENDPOINT,
        show_default=True,
        help="The Hub, where no daemon runs; also HF_ENDPOINT.",
    )
    @click.option(
        "--cache-dir",
        envvar="HUBFS_CACHE_DIR",
        type=click.Path(path_type=Path),
        help="Whose daemon is asked; also HUBFS_CACHE_DIR.  [default: ~/.cache/hubfs]",
    )
    @click.option("--offline", is_flag=True, help="Make no request; also HF_HUB_OFFLINE=1.")
    @functools.wraps(command)
    def with_settings(
        *arguments: Any,  # noqa: ANN401 - click's own
        endpoint: str,
        cache_dir: Path | None,
        offline: bool,
        **options: Any,  # noqa: ANN401 - click's own
    ) -> Any:  # noqa: ANN401 - click's own
        settings = Settings(
            mountpoint=None,
            cache_dir=absolute(cache_dir or default_cache_dir()),
            endpoint=checked_endpoint(endpoint),
            offline=offline or is_offline_by_environment(),
            control=control_of(""),
        )
        return command(*arguments, settings=settings, **options)

    return with_settings  # type: ignore[return-value]


@contextlib.contextmanager
def reached(settings: Settings) -> Iterator[Reached]:
    """The engine of the cache: a daemon's, or one that runs within.

    Raises:
        CacheInUse: something owns the cache and does not answer.
        HubfsError: the cache cannot be used.
    """
    deadline = time.monotonic() + DAEMON_STARTS_WITHIN
    while True:
        with short_address(settings.cache_dir) as address:
            if address is not None:
                with contextlib.closing(Client(address)) as client:
                    yield Reached(client, is_daemon=True)
                return
        try:
            stack = _own_engine(settings)
        except CacheInUse:
            # It is about to answer, or about to end.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        with stack, short_address(settings.cache_dir) as address:
            if address is None:
                raise CacheInUse("this command's own engine cannot be reached")
            with contextlib.closing(Client(address)) as client:
                yield Reached(client, is_daemon=False)
            return


def _own_engine(settings: Settings) -> contextlib.ExitStack:
    from hubfs.daemon.worker import Worker  # noqa: PLC0415 - only where no daemon runs

    # What goes wrong is in the jobs; a log between the bars would only spoil them.
    logging.basicConfig(level=logging.ERROR)
    stack = contextlib.ExitStack()
    stack.enter_context(Worker(settings))
    return stack


def complete_repo(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The names of known repos that begin so, for the shell; a daemon has to run."""
    named = context.params.get("cache_dir") or os.environ.get("HUBFS_CACHE_DIR")
    cache = absolute(Path(named or default_cache_dir()))
    with contextlib.suppress(Exception), short_address(cache) as address:
        if address is not None:
            with contextlib.closing(Client(address)) as client:
                return [repo["repo"] for repo in client.repos() if repo["repo"].startswith(begun)]
    return []


def split_revision(text: str) -> tuple[str, str]:
    """`org/name@REV` as a repo and a revision; the revision may hold slashes."""
    repo, _, revision = text.partition("@")
    return repo, revision.replace("%2F", "/").replace("%2f", "/")
