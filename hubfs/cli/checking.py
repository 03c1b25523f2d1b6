"""Whether settings that are right each for itself can be right together, before anything begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

from hubfs.cli.options import given_sources
from hubfs.config import ControlSettings, Settings
from hubfs.config.addresses import parse_address
from hubfs.config.resolving import settings_from
from hubfs.config.sources import Chosen, Layer
from hubfs.daemon.secrets import exposed
from hubfs.errors import HubfsError, UsageError


def checked(layer: Layer, mountpoint: Path) -> Settings:
    """The settings of a daemon that mounts, if they can be right together.

    Raises:
        UsageError: they cannot.
    """
    settings = settings_from(layer, mountpoint)
    refuse_nesting(mountpoint, settings.cache_dir)
    with _named(layer["http"]):
        check_listening(settings.control)
    with _named(layer["webhook"]):
        check_telling(settings.control)
    return settings


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


def check_listening(control: ControlSettings) -> None:
    """See to it that the daemon may serve the control API by TCP, if it shall.

    Raises:
        UsageError: who may come in could not be told from others.
    """
    if control.http:
        from hubfs.control.guards import TcpRules  # noqa: PLC0415 - few listen

        TcpRules(parse_address(control.http)[0], control.token)


def check_telling(control: ControlSettings) -> None:
    """See to it that the daemon can tell its webhook, if there is one.

    Raises:
        UsageError: nothing would prove the messages, or they would come back.
    """
    if control.webhook:
        from hubfs.control.webhooks import check_webhook  # noqa: PLC0415 - few are told

        check_webhook(control.webhook, control)


def warn_of_webhook(control: ControlSettings) -> None:
    """Say once, where jobs run without a mount, that the webhook is not told of them.

    Nothing else goes wrong: what only looks at a cache, or fills it, is not to fail for a secret
    that is another user's to read.
    """
    try:
        check_telling(control)
    except UsageError as error:
        # It is no option, so the command's own say nothing of it.
        place = given_sources({}).combined()["webhook"].place
        warn(UsageError(f"{place}: nobody is told of jobs: {error}", hint=error.hint))


def warn_of_exposed(layer: Layer) -> None:
    """Say which files with secrets of a daemon that begins others may read; it uses them."""
    for file in exposed(layer, os.environ):
        warn(UsageError(f"{file} holds secrets, and others may read it", hint=f"chmod 600 {file}"))


def warn_of_token(layer: Layer) -> None:
    """Say that the named file of the token is not there; it may come later."""
    chosen = layer["token_file"]
    if chosen.value is not None and not chosen.value.exists():
        text = f"{chosen.place}: there is no {chosen.value}"
        hint = "requests go without a token until it is there; it is read as soon as it is"
        warn(UsageError(text, hint=hint))


def warn(trouble: HubfsError) -> None:
    """Say what is not as it should be, though the command goes on, on standard error."""
    click.secho(f"hubfs: {trouble}", fg="yellow", err=True)
    click.echo(f"  {trouble.hint}", err=True)


@contextlib.contextmanager
def _named(chosen: Chosen) -> Iterator[None]:
    """Let a refusal say whose setting it is about."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{chosen.place}: {error}", hint=error.hint) from None
