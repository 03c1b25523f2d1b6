"""What the small files in `.hubfs` say: the API's answers, for who has a mount and no client."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from hubfs.control import models
from hubfs.control.engine import Control

MOST_JOBS: Final = 100


async def status_json(control: Control) -> bytes:
    """The status, as the API gives it."""
    status = await control.status()
    return status.model_dump_json(indent=2).encode() + b"\n"


async def jobs_json(control: Control) -> bytes:
    """The newest jobs, as the API gives them."""
    found = [control.job(each) for each in control.jobs.recent(MOST_JOBS)]
    return models.Jobs(jobs=found, next=None).model_dump_json(indent=2).encode() + b"\n"


async def status_text(control: Control) -> bytes:
    """The status in a few lines for a person."""
    status = await control.status()
    cache = status.cache
    mode = status.mode
    most = "" if cache.budget is None else f" of {cache.budget}"
    lines = [
        f"hubfs {version('hubfs')}, process {status.pid}, since {status.started_at:%F %T} UTC",
        f"hub    {status.endpoint}: {status.hub}",
        f"cache  {cache.directory}: {cache.blobs} blobs, {cache.size} bytes",
        f"room   {cache.taken}{most} bytes taken, {cache.pinned} pinned",
        f"disk   {cache.disk_available} of {cache.disk_total} bytes free",
        f"reads  {mode.way}: {mode.reason}" if mode else "reads  none: not mounted",
        f"repos  {status.repos}",
        f"jobs   {status.jobs['running']} running, {status.jobs['pending']} waiting",
        f"scrub  {status.scrub.state}, {status.scrub.flaws} flaws found",
    ]
    for record in control.jobs.running():
        job = control.job(record)
        about = job.arguments.get("repo") or "everything"
        done = f"{job.progress.bytes}/{job.progress.bytes_total} bytes"
        lines.append(f"  {job.id} {job.kind} {about} {job.state} {done}")
    lines += [f"  {each.at:%F %T} {each.level} {each.text}" for each in status.troubles[:10]]
    return "\n".join(lines).encode() + b"\n"
