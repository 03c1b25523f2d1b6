"""Routes about the cache's room: what must stay, and what may go."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from hubfs.control import models
from hubfs.control.engine import Control
from hubfs.control.problems import responses


def routes_of(control: Control) -> APIRouter:
    """The routes over `control`."""
    router = APIRouter(prefix="/v1/hub", tags=["cache"])
    storage = control.storage

    @router.post("/evict", status_code=202, responses=responses(400))
    async def evict(wish: models.EvictRequest) -> models.Job:
        """Make room: delete what was used longest ago, or forget a repo and what only it has."""
        return control.job(await storage.evict(wish))

    @router.get("/pins", responses=responses())
    async def pins() -> models.Pins:
        """What must stay."""
        return await storage.pins()

    @router.post("/pins", responses=responses(400, 404))
    async def pin(wish: models.PinRequest) -> models.Pin:
        """Let files stay: those that match now, and those that will. None is fetched for it."""
        return await storage.pin(wish)

    @router.delete("/pins", responses=responses(404))
    async def unpin(
        repo: Annotated[str, Query(min_length=1, max_length=256)],
        revision: Annotated[str, Query(max_length=200)] = "",
        pattern: Annotated[str, Query(max_length=1024)] = "",
    ) -> models.Pins:
        """Let files go again when room is wanted."""
        wish = models.PinRequest(repo=repo, revision=revision, pattern=pattern)
        return await storage.unpin(wish)

    return router
