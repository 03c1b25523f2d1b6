"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hubfs.control.engine import Control
from hubfs.jobs.states import JobState


async def exposition(control: Control) -> str:
    """All metrics of the engine."""
    status = await control.status()
    live = control.jobs.live()
    rates = sum(control.jobs.pace(job.id).rate for job in live)
    return "".join(
        [
            gauge("hubfs_info", "The running version.", {f'{{version="{status.version}"}}': 1}),
            gauge("hubfs_cache_bytes", "Bytes of complete blobs.", {"": status.cache.size}),
            gauge("hubfs_cache_blobs", "Complete blobs.", {"": status.cache.blobs}),
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
        ]
    )


def gauge(name: str, text: str, values: Mapping[str, float]) -> str:
    """One gauge; the keys are sets of labels as they are written."""
    return _metric(name, "gauge", text, values.items())


def _metric(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> str:
    lines = [f"{name}{labels} {value}\n" for labels, value in values]
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(lines)}"
