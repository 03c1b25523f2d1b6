"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hubfs.control.engine import Control
from hubfs.counters import BOUNDS, COUNTERS, Labels
from hubfs.jobs.states import JobState

_COUNTED: Final = {
    "hub_requests": "Answers of the Hub and its storage, by what was asked for and status.",
    "downloaded_bytes": "Bytes of contents that came over the network.",
    "fetch_errors": "Requests for contents that failed, by the kind of failure.",
    "evictions": "Blobs and partials that were deleted to make room.",
    "evicted_bytes": "What they took on disk.",
    "jobs_ended": "Attempts at jobs that have ended, by kind and what became of the job.",
}
_TIMED: Final = {"read_wait": "Seconds that reads waited for bytes that were not here."}


async def exposition(control: Control) -> str:
    """All metrics of the engine."""
    status = await control.status()
    rates = sum(control.jobs.pace(job.id).rate for job in control.jobs.running())
    return "".join(
        [
            gauge("hubfs_info", "The running version.", {f'{{version="{status.version}"}}': 1}),
            gauge("hubfs_cache_bytes", "Bytes of complete blobs.", {"": status.cache.size}),
            gauge("hubfs_cache_blobs", "Complete blobs.", {"": status.cache.blobs}),
            gauge("hubfs_cache_taken_bytes", "What it takes on disk.", {"": status.cache.taken}),
            gauge("hubfs_cache_pinned_bytes", "What pins keep of it.", {"": status.cache.pinned}),
            _budget(status.cache.budget),
            gauge("hubfs_disk_bytes", "Size of the cache's disk.", {"": status.cache.disk_total}),
            gauge(
                "hubfs_disk_available_bytes",
                "Free bytes on it.",
                {"": status.cache.disk_available},
            ),
            gauge("hubfs_repos", "Known repos.", {"": status.repos}),
            gauge(
                "hubfs_jobs",
                "Jobs that run or wait.",
                {
                    f'{{state="{state}"}}': status.jobs.get(state, 0)
                    for state in (JobState.RUNNING, JobState.PENDING)
                },
            ),
            gauge("hubfs_jobs_bytes_per_second", "What jobs move.", {"": rates}),
            gauge(
                "hubfs_hub_reachable",
                "Whether the Hub answered last.",
                {"": int(status.hub == "reachable")},
            ),
            *(_counted(name, text) for name, text in _COUNTED.items()),
            *(_timed(name, text) for name, text in _TIMED.items()),
        ]
    )


def _budget(size: int | None) -> str:
    values = {} if size is None else {"": size}
    return gauge("hubfs_cache_budget_bytes", "The most that the cache may take.", values)


def _counted(name: str, text: str) -> str:
    values = {_labels(labels): value for labels, value in list(COUNTERS.counts[name].items())}
    return _metric(f"hubfs_{name}_total", "counter", text, values.items())


def _timed(name: str, text: str) -> str:
    """A histogram: each bucket counts what is at or below its bound, so they add up."""
    histogram = COUNTERS.histograms[name]
    base, below = f"hubfs_{name}_seconds", 0
    lines = [f"# HELP {base} {text}\n# TYPE {base} histogram\n"]
    for bound, count in zip((*BOUNDS, "+Inf"), list(histogram.counts), strict=True):
        below += count
        lines.append(f'{base}_bucket{{le="{bound}"}} {below}\n')
    lines.append(f"{base}_sum {histogram.total}\n{base}_count {below}\n")
    return "".join(lines)


def _labels(labels: Labels) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def gauge(name: str, text: str, values: Mapping[str, float]) -> str:
    """One gauge; the keys are sets of labels as they are written."""
    return _metric(name, "gauge", text, values.items())


def _metric(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> str:
    lines = [f"{name}{labels} {value}\n" for labels, value in values]
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(lines)}"
