"""Reaching the engine that owns a cache: the daemon's, or else one of the command's own."""

from __future__ import annotations

import contextlib
import functools
import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from hubfs.cli.answering import client_of
from hubfs.cli.checking import warn_of_webhook
from hubfs.cli.ending import deaf_at_the_end, deaf_to, terminable
from hubfs.cli.handing import hand_over
from hubfs.cli.options import COMMON, given_sources, options_of
from hubfs.config import Settings
from hubfs.control.client import Client, Gone, Json
from hubfs.control.roles import Role
from hubfs.control.sockets import short_address
from hubfs.errors import CacheInUse, UsageError
from hubfs.store.lock import find_owner, is_held

F = TypeVar("F", bound=Callable[..., Any])

OWNER_MOVES_WITHIN = 5.0
MOUNT_BEGINS_WITHIN = 5.0
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
    with client_of(settings) as client, contextlib.suppress(Gone):  # who has gone decides nothing
        if client is None or _role_of(client) is Role.COMMAND:  # for which `Reached` waits
            return
        daemon = client.get("/v1/hub/status")
        _check_heeds(daemon, settings, given)


def _check_heeds(daemon: Json, settings: Settings, given: dict[str, Any]) -> None:
    hint = f"leave the option out, or end the daemon first: process {daemon['pid']}"
    if given.get("endpoint") and settings.endpoint != daemon["endpoint"]:
        raise UsageError(f"the daemon of this cache serves {daemon['endpoint']}", hint=hint)
    if given.get("offline") and settings.offline and not daemon["offline"]:
        raise UsageError("the daemon of this cache is not offline", hint=hint)


@contextlib.contextmanager
def reached(settings: Settings) -> Iterator[Reached]:
    """The engine of the cache: a daemon's, another command's, or one that runs within.

    Raises:
        CacheInUse: something owns the cache and does not answer, or does something else.
        HubfsError: the cache cannot be used.
    """
    with contextlib.ExitStack() as stack:
        engine = Reached(settings, stack)
        with contextlib.closing(engine.client):
            yield engine


class Reached:
    """A client of an engine, and of the next where that of a command ends; what kind it is of.

    `role` is the engine's, `is_own` whether it is this command's; `is_following`, for the command
    to say, whether it may wait for long.
    """

    role: Role

    def __init__(self, settings: Settings, stack: contextlib.ExitStack) -> None:
        """Find an engine, or begin one; `stack` ends what is begun. Raises: as `reached`."""
        self._settings = settings
        self._stack = stack
        self.is_own = False
        self.is_following = False
        self.client = Client(self._reach(), self._take_over)

    @property
    def is_daemon(self) -> bool:
        """Whether the engine goes on when commands end."""
        return self.role is not Role.COMMAND

    def _take_over(self, gone: Gone) -> str:
        """The address of another engine, which may be begun for it, where one has `gone`.

        Raises:
            Gone: it was a mount's. The next mount is not to find its cache taken for long.
        """
        if self.is_own or (self.role is Role.MOUNT and self.is_following):
            raise gone
        self._stack.close()
        if self.role is Role.JOBS:
            _leave_to_a_mount(self._settings.cache_dir)
        return self._reach()

    def _reach(self) -> str:
        since = None
        while True:
            try:
                return self._found() or self._begun()
            except CacheInUse:  # its owner is about to answer, or about to end
                since = since or time.monotonic()
                if self.is_own or time.monotonic() > since + OWNER_MOVES_WITHIN:
                    raise
            time.sleep(0.1)

    def _begun(self) -> str:
        self._stack.enter_context(_own_engine(self._settings))
        self.is_own = True
        address = self._found()
        if address is None:
            raise CacheInUse("this command's own engine cannot be reached")
        return address

    def _found(self) -> str | None:
        with contextlib.ExitStack() as trial:
            address = trial.enter_context(short_address(self._settings.cache_dir))
            if address is None:
                return None
            try:
                with contextlib.closing(Client(address)) as client:
                    self.role = _role_of(client)
                    if self.role is not Role.MOUNT:
                        self._check(client.get("/v1/hub/status"))
            except Gone:
                return None
            self._stack.enter_context(trial.pop_all())
            return address

    def _check(self, engine: Json) -> None:
        """See to it that an engine that others began, for their own ends, does what ours would.

        Raises:
            CacheInUse: it does not.
        """
        settings = self._settings
        if (engine["endpoint"], engine["offline"]) != (settings.endpoint, settings.offline):
            who = f"a command that is {'offline' if engine['offline'] else 'online'}"
            who += f" and speaks to {engine['endpoint']} (process {engine['pid']})"
            cache = settings.cache_dir
            hint = "wait until it has ended, or choose another directory with --cache-dir"
            raise CacheInUse(f"the cache {cache} is in use by {who}", hint=hint)


def _leave_to_a_mount(cache_dir: Path) -> None:
    """Wait a little for who takes the cache next from a daemon for jobs that has not crashed.

    With jobs undone it ends for a mount alone.
    """
    deadline = time.monotonic() + MOUNT_BEGINS_WITHIN
    while time.monotonic() < deadline:
        owner = find_owner(cache_dir)
        is_ending = owner is None or (owner.gives_way_to and is_held(cache_dir, owner.pid))
        if not is_ending:
            return
        time.sleep(0.05)


def _role_of(client: Client) -> Role:
    # A daemon that was started before an upgrade does not say.
    return Role(client.get("/healthz").get("role", Role.MOUNT))


@contextlib.contextmanager
def _own_engine(settings: Settings) -> Iterator[None]:
    from hubfs.daemon.worker import Worker  # noqa: PLC0415 - only where no daemon runs

    # What goes wrong is in the jobs; a log between the bars would only spoil them.
    logging.basicConfig(level=logging.ERROR)
    worker = Worker(settings, Role.COMMAND)
    with terminable(*_ENDS):
        try:
            with worker, deaf_at_the_end(*_ENDS):
                warn_of_webhook(settings.control)
                yield
        finally:
            with deaf_to(signal.SIGINT):
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
