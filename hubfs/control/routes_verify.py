"""The route that has the cache looked at."""

from __future__ import annotations

from fastapi import APIRouter

from hubfs.control import models
from hubfs.control.engine import Control
from hubfs.control.parts import Parts, checked_revision
from hubfs.control.problems import responses
from hubfs.control.webhooks import check_webhook
from hubfs.errors import UsageError
from hubfs.jobs.files import known, repo_named
from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind


def routes_of(control: Control) -> APIRouter:
    """The routes over `control`."""
    router = APIRouter(prefix="/v1/hub", tags=["jobs"])

    @router.post("/verify", status_code=202, responses=responses(400, 404))
    async def verify(wish: models.VerifyRequest) -> models.Job:
        """Hash what is here again and compare it with the index; what is bad is set aside."""
        if wish.webhook:
            check_webhook(wish.webhook, control.parts.settings.control)
        wanted = Wanted(JobKind.VERIFY, _arguments(control.parts, wish), wish.webhook)
        return control.job(await control.jobs.submit(wanted))

    return router


def _arguments(parts: Parts, wish: models.VerifyRequest) -> dict[str, object]:
    """The arguments of the job.

    Raises:
        UsageError: no repo can be called that, or only a revision is named.
        RepoNotFound, NoSuchEntry: nothing is known of the repo.
    """
    if wish.revision and wish.repo is None:
        raise UsageError("a revision of what?", hint="give a repo as well")
    repo, revision = "", checked_revision(wish.revision)
    if wish.repo is not None:
        found = known(parts.catalog, parts.syncer, repo_named(wish.repo), revision)
        repo = str(found.repo)
    return {"repo": repo, "revision": revision, "repair": wish.repair, "threads": wish.threads}
