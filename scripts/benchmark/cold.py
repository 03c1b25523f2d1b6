"""Cold reads at full speed: a file that is on the hub only, on a line as fast as loopback."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import MODEL, REPO, Bench, say, settle, warm
from scripts.benchmark.hub import Hub
from scripts.benchmark.mounts import has_option, mounted, site_in
from scripts.benchmark.processes import ask, dd, environment, run
from scripts.benchmark.rows import CannotRun, Row, Run, Side, at_least, interleaved, side
from scripts.benchmark.sources import Source
from scripts.benchmark.usage import cpu_seconds

SECTION = "cold"


def whole_file(bench: Bench) -> Iterator[Row]:
    """A whole file through the mount, beside curl and beside huggingface_hub."""
    for scheme, hub in (("http", bench.hub), ("https", bench.tls_hub)):
        yield from _whole_file(bench, hub, scheme)


@dataclass(frozen=True, slots=True)
class Download:
    """How fast it was, and the processor time that it took the one who did it."""

    speed: Run
    effort: Run


def _whole_file(bench: Bench, hub: Hub, scheme: str) -> Iterator[Row]:
    bench.needs_room(2 * bench.options.size)
    is_plain = scheme == "http"  # https is another library's in huggingface_hub
    ways = [through_mount, by_curl, *([by_hub_client] if is_plain else [])]
    mount, curls, *client = interleaved(bench.runs, *(partial(way, bench, hub) for way in ways))
    name = f"whole file, {scheme}: mount to /dev/null / "
    ours, file = _speed("mount", mount), _speed("curl -o file", curls)
    yield Row(SECTION, name + "curl -o file", "MB/s", ours, file, at_least(0.7))
    for runs in client:
        theirs = _speed("hf_hub_download", runs)
        yield Row(SECTION, name + "hf_hub_download", "MB/s", ours, theirs, at_least(1.5))
    daemon = side("daemon", [each.effort for each in mount])
    itself = side("curl", [each.effort for each in curls])
    yield Row(SECTION, f"processor time for it, {scheme}: daemon / curl", "s", daemon, itself)


def _speed(label: str, downloads: list[Download]) -> Side:
    return side(label, [each.speed for each in downloads])


def megabytes(size: int, seconds: float) -> float:
    """Speed in MB/s, as disks and networks are sold."""
    return size / seconds / 1e6


def through_mount(bench: Bench, hub: Hub, *options: str) -> Download:
    """Read it from a mount that knows its name and none of its bytes."""
    source = bench.model
    with mounted(bench.scratch, hub, *options) as mount:
        path = mount.directory / REPO / MODEL
        run("stat", path)
        _get_ready(source)
        before = cpu_seconds(mount.pids())
        seconds = dd(path, source.size)
        effort = cpu_seconds(mount.pids()) - before
        # What dd was given is in the kernel's page cache: these very pages are compared.
        return _download("mount", seconds, effort, proofs.whole(path, source), source)


def by_curl(bench: Bench, hub: Hub) -> Download:
    """Download it to a new file on the same disk."""
    with site_in(bench.scratch) as site:
        _get_ready(bench.model)
        before = _children_seconds()
        seconds = curl(hub, MODEL, "-o", site / MODEL)
        effort = _children_seconds() - before
        proof = proofs.whole(site / MODEL, bench.model)
        return _download("curl", seconds, effort, proof, bench.model)


def curl(hub: Hub, name: str, *options: str | Path) -> float:
    """Run curl on a file of the hub; return the seconds that curl took by its own account."""
    trust = ["--cacert", hub.ca_file] if hub.ca_file else []
    written = ["--silent", "--show-error", "--fail", "--location", "--write-out", "%{time_total}"]
    return float(run("curl", *trust, *written, *options, hub.url(REPO, name)))


def by_hub_client(bench: Bench, hub: Hub) -> Download:
    """Download it as `hf download` does, into a fresh cache on the same disk."""
    with site_in(bench.scratch) as site:
        settings = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_ENDPOINT": hub.endpoint}
        _get_ready(bench.model)
        before = _children_seconds()
        env = environment(HF_HOME=str(site), **settings)
        got = ask("loaders", "download", REPO, MODEL, env=env)
        effort = _children_seconds() - before
        proof = proofs.whole(Path(got["path"]), bench.model)
        return _download("hf_hub_download", got["seconds"], effort, proof, bench.model)


def _download(who: str, seconds: float, effort: float, proof: str, source: Source) -> Download:
    speed = megabytes(source.size, seconds)
    say(f"{who}: {speed:.0f} MB/s, {effort:.2f} s of processor time")
    return Download(Run(speed, proof), Run(effort, proof))


def _children_seconds() -> float:
    """Of all programs that we ran to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _get_ready(source: Source) -> None:
    """Spare the run what has nothing to do with it: dirty pages, and the hub's own disk."""
    settle()
    warm(source.path)


def relay(bench: Bench) -> Iterator[Row]:
    """What passthrough, which cannot help a cold read, costs it."""
    if not has_option("--passthrough"):
        raise CannotRun("`hubfs mount` has no --passthrough here")
    bench.needs_room(bench.options.size)
    ways = [partial(through_mount, bench, bench.hub, "--passthrough", to) for to in ("auto", "off")]
    ready, off = interleaved(bench.runs, *ways)
    name = "whole file, http: ready for passthrough / without"
    with_it, without = _speed("--passthrough auto", ready), _speed("--passthrough off", off)
    yield Row(SECTION, name, "MB/s", with_it, without)


GROUPS = (whole_file, relay)
