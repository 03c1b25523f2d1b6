"""Routes that tell of repos and their files."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from hubfs.control import models
from hubfs.control.engine import Control
from hubfs.control.problems import responses
from hubfs.model.identifiers import RepoKind


def routes_of(control: Control) -> APIRouter:
    """The routes over `control`."""
    router = APIRouter(prefix="/v1/hub", tags=["repos"])

    @router.get("/models", responses=responses())
    async def repos(
        kind: Literal["models", "datasets", "spaces"] = "models",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        after: Annotated[str, Query(max_length=256)] = "",
        cached: Annotated[bool, Query(description="Count the bytes on this node.")] = False,  # noqa: FBT002 - of the address
    ) -> models.Models:
        """The known repos, in name order."""
        return await control.repos(RepoKind(kind), limit, after, counts_cached=cached)

    @router.get("/models/{repo:path}", responses=responses(404))
    async def repo(
        repo: Annotated[str, Path(max_length=256, examples=["Qwen/Qwen3-0.6B"])],
        revision: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        after: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    ) -> models.ModelDetail:
        """One repo and its files: kind, format, precision, hash, and how much is on this node."""
        return await control.repo(repo, revision, limit, after)

    return router
