"""Routes that ask for work, and look after it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from hubfs.control import models
from hubfs.control.engine import Control
from hubfs.control.problems import responses
from hubfs.control.views import line_of
from hubfs.jobs.states import JobKind, JobState
from hubfs.store.records import JobRecord

LARGEST_ID = (1 << 63) - 1
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=500)]


def routes_of(control: Control) -> APIRouter:
    """The routes over `control`."""
    router = APIRouter(prefix="/v1/hub", tags=["jobs"])
    _add_wishes(router, control)
    _add_listing(router, control)
    _add_steering(router, control)
    return router


def _add_wishes(router: APIRouter, control: Control) -> None:
    @router.post("/register", status_code=202, responses=responses(400))
    async def register(wish: models.RegisterRequest) -> models.Registration:
        """Make a repo known, and sync it unless told not to."""
        return await control.register(wish)

    @router.post("/sync", status_code=202, responses=responses(400))
    async def sync(wish: models.SyncRequest) -> models.Job:
        """List a repo's files and fetch its small metadata files."""
        return await control.sync(wish)

    @router.post("/download", status_code=202, responses=responses(400))
    async def download(wish: models.DownloadRequest) -> models.Batch:
        """Bring files here, behind everybody's reading; what is here already is not fetched."""
        return await control.download(wish)

    @router.post("/download/check", responses=responses(400, 403, 404, 502, 503))
    async def check(wish: models.DownloadItem) -> models.Check:
        """Say what a download would bring, without bringing it."""
        return await control.check(wish)


def _add_listing(router: APIRouter, control: Control) -> None:
    @router.get("/jobs", responses=responses())
    async def jobs(
        state: JobState | None = None,
        kind: JobKind | None = None,
        batch: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
        limit: Limit = 50,
        before: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
    ) -> models.Jobs:
        """Jobs, newest first."""

        def accepts(job: JobRecord) -> bool:
            return kind in {None, job.kind} and batch in {None, job.batch}

        found = control.jobs.recent(limit + 1, before, accepts, state)
        following = found[limit - 1].id if len(found) > limit else None
        return models.Jobs(jobs=[control.job(each) for each in found[:limit]], next=following)

    @router.get("/jobs/{id}", responses=responses(404))
    async def job(id: Id, logs: Annotated[int, Query(ge=0, le=500)] = 100) -> models.JobDetail:  # noqa: A002 - the name in the address
        """One job, with the last lines of its log."""
        lines = [line_of(line) for line in await control.jobs.lines(id)]
        shown = control.job(control.jobs.find(id))
        return models.JobDetail(**shown.model_dump(), logs=lines[len(lines) - logs :][-500:])

    @router.get("/jobs/{id}/logs", responses=responses(404))
    async def log(
        id: Id,  # noqa: A002 - the name in the address
        after: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
        limit: Limit = 500,
    ) -> models.Lines:
        """Lines of a job's log, oldest first."""
        found = [line_of(line) for line in await control.jobs.lines(id, after, limit)]
        return models.Lines(lines=found, next=found[-1].number if found else after)


def _add_steering(router: APIRouter, control: Control) -> None:
    @router.delete("/jobs/{id}", responses=responses(404, 409))
    async def cancel(id: Id) -> models.Job:  # noqa: A002 - the name in the address
        """Call a job off. What it has brought stays."""
        return control.job(await control.jobs.cancel(id))

    @router.post("/jobs/{id}/retry", status_code=202, responses=responses(404, 409))
    async def retry(
        id: Id,  # noqa: A002 - the name in the address
        *,
        background: Annotated[models.Background, Query()] = False,
    ) -> models.Job:
        """Queue a job again that failed or was cancelled, or let one that waits begin."""
        return control.job(await control.jobs.retry(id, in_background=background))

    @router.post("/jobs/{id}/resume", status_code=202, responses=responses(404, 409))
    async def resume(id: Id) -> models.Job:  # noqa: A002 - the name in the address
        """Let a job go on that an earlier process left; any other stays as it is."""
        return control.job(control.jobs.resume(id))
