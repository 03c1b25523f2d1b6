"""Run a local Hub as a process of its own: `python -m tests.localhub serve --help`."""

import json
import os
import signal
from pathlib import Path

import click

from tests.localhub.content import Kind
from tests.localhub.hub import LocalHub

Given = tuple[str, ...]


@click.group()
def main() -> None:
    """A faithful Hugging Face Hub on this machine."""


@main.command()
@click.option(
    "--repo", "models", multiple=True, metavar="ID=DIR", help="Serve DIR as a model repo."
)
@click.option("--dataset", "datasets", multiple=True, metavar="ID=DIR")
@click.option("--space", "spaces", multiple=True, metavar="ID=DIR")
@click.option("--tls", is_flag=True, help="Speak https; ca_file is printed.")
@click.option("--port", default=0, help="Of the Hub; the CDN takes any.")
@click.option("--rtt", default=0.0, help="Seconds per round trip.")
@click.option("--bandwidth", type=float, help="Bytes per second and connection.")
@click.option("--token", help="A token that opens everything.")
@click.option("--log", "log_file", type=click.Path(path_type=Path), help="Append records as JSON.")
def serve(
    models: Given,
    datasets: Given,
    spaces: Given,
    *,
    tls: bool,
    port: int,
    rtt: float,
    bandwidth: float | None,
    token: str | None,
    log_file: Path | None,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGUSR1 takes the Hub down, SIGUSR2 up again.

    Prints a line of JSON when ready, and one after each of those changes. The
    control endpoint is /-/ (routes_control.py).
    """
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2}
    # Blocked before any thread starts: all threads inherit it, sigwait gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with LocalHub(tls=tls, token=token, port=port, log_file=log_file) as hub:
        hub.rtt, hub.bandwidth = rtt, bandwidth
        for kind, given in (("model", models), ("dataset", datasets), ("space", spaces)):
            _create_repos(hub, kind, given)  # type: ignore[arg-type]
        click.echo(json.dumps(_facts(hub)))
        _obey(hub, signals)


def _obey(hub: LocalHub, signals: set[signal.Signals]) -> None:
    while (received := signal.sigwait(signals)) in {signal.SIGUSR1, signal.SIGUSR2}:
        if received == signal.SIGUSR1:
            hub.down()
            click.echo('{"state": "down"}')
        else:
            hub.up()
            click.echo('{"state": "up"}')


def _create_repos(hub: LocalHub, kind: Kind, given: Given) -> None:
    for pair in given:
        repo_id, equals, directory = pair.partition("=")
        if not equals or not Path(directory).is_dir():
            raise click.BadParameter(f"{pair!r} is not ID=DIR with an existing directory")
        hub.create_repo(repo_id, files_below(Path(directory)), kind=kind)


def files_below(directory: Path) -> dict[str, Path]:
    """Return the files of a directory tree by the path that a repo gives them."""
    return {
        path.relative_to(directory).as_posix(): path.resolve()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(directory).parts
    }


def _facts(hub: LocalHub) -> dict[str, object]:
    return {
        "endpoint": hub.endpoint,
        "cdn_endpoint": hub.cdn_endpoint,
        "ca_file": str(hub.ca_file) if hub.ca_file else None,
        "pid": os.getpid(),
    }


if __name__ == "__main__":
    main(prog_name="python -m tests.localhub")
