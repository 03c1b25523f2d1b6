"""Cold reads at full speed: a file that is on the hub only, on a line as fast as loopback."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmark import proofs
from scripts.benchmark.bench import MODEL, REPO, Bench, say, settle, warm
from scripts.benchmark.hub import Hub
from scripts.benchmark.mounts import has_option, mounted, site_in
from scripts.benchmark.processes import ask, dd, environment, run
from scripts.benchmark.rows import Row, Run, Side, at_least, interleaved, side
from scripts.benchmark.sources import Source
from scripts.benchmark.usage import cpu_seconds

SECTION = "cold"
OFF = ("--passthrough", "off")


@dataclass(frozen=True, slots=True)
class Download:
    """How fast it was, and the processor time that it took the one who did it."""

    speed: Run
    effort: Run


Way = Callable[[Bench, Hub], Download]


def by_http(bench: Bench) -> Iterator[Row]:
    """A whole file through the mount, beside curl and beside huggingface_hub."""
    bench.needs_room(2 * bench.options.size)
    # Passthrough cannot help a cold read; what it costs one is worth knowing.
    spare = [partial(through_mount, options=OFF)] if has_option(OFF[0]) else []
    ways: list[Way] = [through_mount, by_curl, by_hub_client, *spare]
    mount, curls, client, *off = interleaved(
        bench.runs, *(partial(way, bench, bench.hub) for way in ways)
    )
    yield from _beside_curl("http", mount, curls)
    ours, theirs = _speed("mount", mount), _speed("hf_hub_download", client)
    name = "whole file, http: mount to /dev/null / hf_hub_download"
    yield Row(SECTION, name, "MB/s", ours, theirs, at_least(1.5))
    for runs in off:
        without = _speed(" ".join(OFF), runs)
        yield Row(SECTION, "whole file, http: mount / without passthrough", "MB/s", ours, without)


def by_https(bench: Bench) -> Iterator[Row]:
    """The same with TLS, beside curl."""
    bench.needs_room(2 * bench.options.size)
    ways: list[Way] = [through_mount, by_curl]
    mount, curls = interleaved(bench.runs, *(partial(way, bench, bench.tls_hub) for way in ways))
    yield from _beside_curl("https", mount, curls)


def _beside_curl(scheme: str, mount: list[Download], curls: list[Download]) -> Iterator[Row]:
    ours, file = _speed("mount", mount), _speed("curl -o file", curls)
    name = f"whole file, {scheme}: mount to /dev/null / curl -o file"
    yield Row(SECTION, name, "MB/s", ours, file, at_least(0.7))
    daemon = side("daemon", [each.effort for each in mount])
    itself = side("curl", [each.effort for each in curls])
    yield Row(SECTION, f"processor time for it, {scheme}: daemon / curl", "s", daemon, itself)


def _speed(label: str, downloads: list[Download]) -> Side:
    return side(label, [each.speed for each in downloads])


def megabytes(size: int, seconds: float) -> float:
    """Speed in MB/s, as disks and networks are sold."""
    return size / seconds / 1e6


def through_mount(bench: Bench, hub: Hub, options: tuple[str, ...] = ()) -> Download:
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
    warm(source.path)
    settle()


GROUPS = (by_http, by_https)
