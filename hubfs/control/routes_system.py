"""Routes about the daemon itself, and the stream of what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Annotated

import trio
from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from hubfs.control import models
from hubfs.control.engine import Control
from hubfs.control.metrics import exposition
from hubfs.control.problems import responses

BEAT = 15.0


def routes_of(control: Control) -> APIRouter:
    """The routes over `control`."""
    router = APIRouter(tags=["daemon"])

    @router.get("/healthz")
    async def healthz() -> models.Health:
        """Whether the daemon answers."""
        return models.Health(version=version("hubfs"), role=control.parts.role)

    @router.get("/v1/hub/status")
    async def status() -> models.Status:
        """The daemon at a glance."""
        return await control.status()

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counters and gauges in Prometheus' text format."""
        text = await exposition(control)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @router.get(
        "/v1/hub/events",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "An event for each change of a job; its data is the job.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **responses(),
        },
    )
    async def events(
        job: Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)] = None,
    ) -> StreamingResponse:
        """What happens to jobs, as server-sent events; begins with `job`, or all that run."""
        headers = {"cache-control": "no-store"}
        return StreamingResponse(_stream(control, job), 200, headers, "text/event-stream")

    return router


async def _stream(control: Control, only: int | None) -> AsyncIterator[str]:
    with control.jobs.watching() as watcher:
        yield "retry: 1000\n\n"
        # Ten thousand that wait are for `/v1/hub/jobs` to list, page by page.
        live = control.jobs.running() if only is None else control.jobs.live()
        for record in live:
            if only in {None, record.id}:
                yield _event(control.job(record))
        while True:
            with trio.move_on_after(BEAT) as waited:
                changed = await watcher.changes()
            if waited.cancelled_caught:
                yield ": still here\n\n"
                continue
            for record in changed:
                if only in {None, record.id}:
                    yield _event(control.job(record))


def _event(job: models.Job) -> str:
    return f"event: job\nid: {job.id}\ndata: {job.model_dump_json()}\n\n"
