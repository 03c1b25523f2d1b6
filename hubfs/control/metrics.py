"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hubfs.control import models
from hubfs.control.engine import Control
from hubfs.counters import BOUNDS, COUNTERS, Histogram, Labels
from hubfs.jobs.states import JobState

_COUNTED: Final = {
    "hub_requests": "Answers of the Hub and its storage, by what was asked for and status.",
    "downloaded_bytes": "Bytes of contents that came over the network.",
    "fetch_errors": "Requests for contents that failed, by the kind of failure.",
    "evictions": "Blobs and partials that were deleted to make room.",
    "evicted_bytes": "What they took on disk.",
    "errors": "Calls of programs that failed though they asked for nothing wrong, by the call.",
    "jobs_ended": "Attempts at jobs that have ended, by kind and what became of the job.",
}
_TIMED: Final = {
    "read_wait": "Seconds that reads waited for bytes that were not here.",
    "hub_answer": "Seconds until the head of an answer came, by what was asked for.",
}


async def exposition(control: Control) -> str:
    """All metrics of the engine."""
    status = await control.status()
    parts = [_cache(status), _work(control, status), _reads()]
    parts += [_counted(name, text) for name, text in _COUNTED.items()]
    parts += [_timed(name, text) for name, text in _TIMED.items()]
    return "".join(parts)


def _cache(status: models.Status) -> str:
    cache = status.cache
    return "".join(
        [
            gauge("hubfs_info", "The running version.", {f'{{version="{status.version}"}}': 1}),
            gauge("hubfs_cache_bytes", "Bytes of complete blobs.", {"": cache.size}),
            gauge("hubfs_cache_blobs", "Complete blobs.", {"": cache.blobs}),
            gauge("hubfs_cache_taken_bytes", "What it takes on disk.", {"": cache.taken}),
            gauge("hubfs_cache_pinned_bytes", "What pins keep of it.", {"": cache.pinned}),
            _budget(cache.budget),
            gauge("hubfs_disk_bytes", "Size of the cache's disk.", {"": cache.disk_total}),
            gauge("hubfs_disk_available_bytes", "Free bytes on it.", {"": cache.disk_available}),
            gauge("hubfs_repos", "Known repos.", {"": status.repos}),
        ]
    )


def _budget(size: int | None) -> str:
    values = {} if size is None else {"": size}
    return gauge("hubfs_cache_budget_bytes", "The most that the cache may take.", values)


def _work(control: Control, status: models.Status) -> str:
    """What is under way, and what waits for it."""
    jobs = {
        f'{{state="{state}"}}': status.jobs.get(state, 0)
        for state in (JobState.RUNNING, JobState.PENDING)
    }
    rate = sum(control.jobs.pace(job.id).rate for job in control.jobs.running())
    load = control.load()
    is_up = int(status.hub == "reachable")
    return "".join(
        [
            gauge("hubfs_jobs", "Jobs that run or wait.", jobs),
            gauge("hubfs_jobs_bytes_per_second", "What jobs move.", {"": rate}),
            gauge("hubfs_transfers", "Contents that are on their way.", {"": load.transfers}),
            gauge("hubfs_connections", "Requests for them that run.", {"": load.connections}),
            gauge("hubfs_readers_waiting", "Reads that wait for bytes.", {"": load.waiting}),
            gauge("hubfs_hub_reachable", "Whether the Hub answered last.", {"": is_up}),
        ]
    )


def _reads() -> str:
    """What programs read. What the kernel serves by itself nobody can count: only its opens."""
    reads, opens = COUNTERS.reads, _total("opens")
    passed = _total("passed_through")
    hits = {
        '{cache="hit"}': reads.answered - reads.waited,
        '{cache="miss"}': reads.waited,
    }
    ways = {'{way="passthrough"}': passed, '{way="daemon"}': max(0, opens - passed)}
    return "".join(
        [
            counter("reads", "Reads that the daemon answered: from disk, or after a wait.", hits),
            counter("read_bytes", "Bytes that they gave.", {"": reads.size}),
            counter("opens", "Opens of files, by who answers their reads.", ways),
            counter(
                "passthrough_opened_bytes",
                "Sizes of the files that were opened for the kernel to read by itself.",
                {"": _total("passed_through_bytes")},
            ),
        ]
    )


def _total(name: str) -> float:
    return sum(list(COUNTERS.counts[name].values()))


def _counted(name: str, text: str) -> str:
    found = list(COUNTERS.counts[name].items())
    return counter(name, text, {_labels(labels): value for labels, value in found})


def _timed(name: str, text: str) -> str:
    base = f"hubfs_{name}_seconds"
    lines = [f"# HELP {base} {text}\n# TYPE {base} histogram\n"]
    for labels, histogram in sorted(COUNTERS.histograms[name].copy().items()):
        lines += _buckets(base, labels, histogram)
    return "".join(lines)


def _buckets(base: str, labels: Labels, histogram: Histogram) -> Iterable[str]:
    """Each bucket counts what is at or below its bound, so they add up."""
    below = 0
    for bound, count in zip((*BOUNDS, "+Inf"), list(histogram.counts), strict=True):
        below += count
        yield f"{base}_bucket{_labels((*labels, ('le', str(bound))))} {below}\n"
    yield f"{base}_sum{_labels(labels)} {histogram.total}\n"
    yield f"{base}_count{_labels(labels)} {below}\n"


def _labels(labels: Labels) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def gauge(name: str, text: str, values: Mapping[str, float]) -> str:
    """One gauge; the keys are sets of labels as they are written."""
    return _metric(name, "gauge", text, values.items())


def counter(name: str, text: str, values: Mapping[str, float]) -> str:
    """One counter, likewise."""
    return _metric(f"hubfs_{name}_total", "counter", text, values.items())


def _metric(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> str:
    lines = [f"{name}{labels} {value}\n" for labels, value in values]
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(lines)}"
