"""Reaching the engine that owns a cache: the daemon's, or else one of the command's own."""

from __future__ import annotations

import contextlib
import functools
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import click

from hubfs.cli.answering import client_of
from hubfs.cli.checking import warn_of_webhook
from hubfs.cli.ending import deaf_at_the_end, terminable
from hubfs.cli.handing import DAEMON_STARTS_WITHIN, hand_over
from hubfs.cli.options import COMMON, given_sources, options_of
from hubfs.config import Settings
from hubfs.control.client import Client, Gone
from hubfs.errors import CacheInUse, UsageError

F = TypeVar("F", bound=Callable[..., Any])

_ENDS = (signal.SIGTERM, signal.SIGHUP)


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
    with client_of(settings) as client:
        if client is None:
            return
        daemon = client.get("/v1/hub/status")
    hint = f"leave the option out, or end the daemon first: process {daemon['pid']}"
    if given.get("endpoint") and settings.endpoint != daemon["endpoint"]:
        raise UsageError(f"the daemon of this cache serves {daemon['endpoint']}", hint=hint)
    if given.get("offline") and settings.offline and not daemon["offline"]:
        raise UsageError("the daemon of this cache is not offline", hint=hint)


@contextlib.contextmanager
def reached(settings: Settings) -> Iterator[Reached]:
    """The engine of the cache: a daemon's, another command's, or one that runs within.

    Raises:
        CacheInUse: something owns the cache and does not answer.
        HubfsError: the cache cannot be used.
    """
    with contextlib.ExitStack() as stack:
        yield Reached(settings, stack)


class Reached:
    """A client of an engine. `is_daemon`: that goes on when commands end."""

    client: Client
    is_daemon: bool

    def __init__(self, settings: Settings, stack: contextlib.ExitStack) -> None:
        """Find an engine, or begin one; `stack` ends what is begun. Raises: as `reached`."""
        self._settings = settings
        self._stack = stack
        self._has_own = False
        self._reach()

    def take_over(self, gone: Gone) -> None:
        """Find another engine, or begin one, where that of another command has `gone`.

        Raises:
            Gone: it was a daemon's. The next one is not to find its cache taken.
        """
        if self.is_daemon or self._has_own:
            raise gone
        self._stack.close()
        self._reach()

    def _reach(self) -> None:
        deadline = time.monotonic() + DAEMON_STARTS_WITHIN
        while not (self._finds_one() or self._begins_one(last_time=time.monotonic() > deadline)):
            time.sleep(0.1)

    def _begins_one(self, *, last_time: bool) -> bool:
        try:
            self._stack.enter_context(_own_engine(self._settings))
        except CacheInUse:  # its owner is about to answer, or about to end
            if last_time:
                raise
            return False
        self._has_own = True
        if not self._finds_one():
            raise CacheInUse("this command's own engine cannot be reached")
        return True

    def _finds_one(self) -> bool:
        client = self._stack.enter_context(client_of(self._settings))
        if client is None:
            return False
        try:
            # A daemon that was started before an upgrade does not say.
            self.is_daemon = client.get("/healthz").get("lasts", True)
        except Gone:
            return False
        self.client = client
        return True


@contextlib.contextmanager
def _own_engine(settings: Settings) -> Iterator[None]:
    from hubfs.daemon.worker import Worker  # noqa: PLC0415 - only where no daemon runs

    # What goes wrong is in the jobs; a log between the bars would only spoil them.
    logging.basicConfig(level=logging.ERROR)
    worker = Worker(settings)
    try:
        with terminable(*_ENDS), worker, deaf_at_the_end(*_ENDS):
            warn_of_webhook(settings.control)
            yield
    finally:
        hand_over(settings, worker.left)


def complete_repo(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The names of known repos that begin so, for the shell; a daemon has to run."""
    with contextlib.suppress(Exception):
        settings = given_sources({"cache_dir": context.params.get("cache_dir")}).settings()
        with client_of(settings) as client:
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
