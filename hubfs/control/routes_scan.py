"""The route that has a folder scanned."""

from __future__ import annotations

from fastapi import APIRouter

from hubfs.control.engine import Control
from hubfs.control.models import Job
from hubfs.control.problems import responses
from hubfs.control.scanning import ScanRequest, wanted_of


def routes_of(control: Control) -> APIRouter:
    """The route over `control`."""
    router = APIRouter(prefix="/v1/hub", tags=["jobs"])

    @router.post("/scan", status_code=202, responses=responses(400))
    async def scan(wish: ScanRequest) -> Job:
        """Adopt what is on disk already: a Hub client's cache, or any folder of models."""
        wanted = wanted_of(wish)
        control.parts.check_webhook(wish.webhook)
        return control.job(await control.jobs.submit(wanted))

    return router
