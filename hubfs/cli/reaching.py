"""Reaching the engine that owns a cache: the daemon's, or else one of the command's own."""

from __future__ import annotations

import contextlib
import functools
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from hubfs.cli.checking import warn_of_webhook
from hubfs.cli.ending import deaf_at_the_end, terminable
from hubfs.cli.options import COMMON, given_sources, options_of
from hubfs.config import Settings
from hubfs.control.client import Client
from hubfs.control.sockets import short_address
from hubfs.errors import CacheInUse, UsageError

F = TypeVar("F", bound=Callable[..., Any])

DAEMON_STARTS_WITHIN = 5.0
_ENDS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Reached:
    """A client, and whether its engine goes on when the command ends."""

    client: Client
    is_daemon: bool


def engine_options(command: F) -> F:
    """Add the options that say which cache, and become one argument: `sources`."""

    @options_of(COMMON)
    @functools.wraps(command)
    def with_settings(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - click's own
        given = {each.name: options.pop(each.name) for each in COMMON}
        settings = given_sources(given).settings()
        _refuse_what_a_daemon_does_otherwise(settings, given)
        # The address is a daemon's: a command, which may run beside one, listens at none.
        settings = replace(settings, control=replace(settings.control, http=""))
        return command(*arguments, settings=settings, **options)

    return with_settings  # type: ignore[return-value]


def _refuse_what_a_daemon_does_otherwise(settings: Settings, given: dict[str, Any]) -> None:
    """An option that the daemon would not heed must not be taken for one that it does.

    Raises:
        UsageError: the command line names another endpoint, or no requests at all.
    """
    if not (given.get("endpoint") or given.get("offline")):
        return
    with _client_of(settings) as client:
        if client is None:
            return
        daemon = client.get("/v1/hub/status")
    hint = f"leave the option out, or end the daemon first: process {daemon['pid']}"
    if given.get("endpoint") and settings.endpoint != daemon["endpoint"]:
        raise UsageError(f"the daemon of this cache serves {daemon['endpoint']}", hint=hint)
    if given.get("offline") and settings.offline and not daemon["offline"]:
        raise UsageError("the daemon of this cache is not offline", hint=hint)


@contextlib.contextmanager
def _client_of(settings: Settings) -> Iterator[Client | None]:
    """A client of whoever answers for the cache; None if nobody does."""
    with short_address(settings.cache_dir) as address:
        if address is None:
            yield None
            return
        with contextlib.closing(Client(address)) as client:
            yield client


def is_answered(settings: Settings, seconds: float = 0.0) -> bool:
    """Whether somebody answers for the cache, now or within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        with short_address(settings.cache_dir) as address:
            if address is not None or time.monotonic() >= deadline:
                return address is not None
        time.sleep(0.1)


@contextlib.contextmanager
def reached(settings: Settings) -> Iterator[Reached]:
    """The engine of the cache: a daemon's, or one that runs within.

    Raises:
        CacheInUse: something owns the cache and does not answer.
        HubfsError: the cache cannot be used.
    """
    deadline = time.monotonic() + DAEMON_STARTS_WITHIN
    while True:
        with _client_of(settings) as client:
            if client is not None:
                yield Reached(client, is_daemon=True)
                return
        stack = contextlib.ExitStack()
        try:
            stack.enter_context(_own_engine(settings))
        except CacheInUse:
            # It is about to answer, or about to end.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        with stack, _client_of(settings) as client:
            if client is None:
                raise CacheInUse("this command's own engine cannot be reached")
            yield Reached(client, is_daemon=False)
            return


@contextlib.contextmanager
def _own_engine(settings: Settings) -> Iterator[None]:
    from hubfs.daemon.worker import Worker  # noqa: PLC0415 - only where no daemon runs

    # What goes wrong is in the jobs; a log between the bars would only spoil them.
    logging.basicConfig(level=logging.ERROR)
    with terminable(*_ENDS), Worker(settings), deaf_at_the_end(*_ENDS):
        warn_of_webhook(settings.control)
        yield


def complete_repo(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The names of known repos that begin so, for the shell; a daemon has to run."""
    with contextlib.suppress(Exception):
        settings = given_sources({"cache_dir": context.params.get("cache_dir")}).settings()
        with _client_of(settings) as client:
            if client is not None:
                names = [repo["repo"] for repo in client.repos()]
                return [name for name in names if name.startswith(begun)]
    return []


def split_revision(text: str) -> tuple[str, str]:
    """`org/name@REV` as a repo and a revision; the revision may hold slashes.

    Raises:
        UsageError: a part of it is blank, as of a variable that is not set: to take that for the
            default would be to do more than was asked for.
    """
    repo, at, revision = text.partition("@")
    if not repo.strip():
        hint = "repos look like org/name or datasets/org/name"
        raise UsageError(f"no repo is named in {text!r}", hint=hint)
    if at and not revision.strip():
        hint = f"name a branch, a tag or a commit after the @, or say {repo}"
        raise UsageError(f"no revision is named in {text!r}", hint=hint)
    return repo, revision.replace("%2F", "/").replace("%2f", "/")
