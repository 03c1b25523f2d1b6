"""The application: all routes over one engine."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from hubfs.control import (
    problems,
    routes_cache,
    routes_jobs,
    routes_models,
    routes_page,
    routes_scan,
    routes_system,
    routes_verify,
)
from hubfs.control.engine import Control
from hubfs.control.models import Problem

ABOUT = """
The control API of a hubfs daemon: repos, downloads, jobs.

    curl --unix-socket ~/.cache/hubfs/control.sock http://hubfs/v1/hub/status
"""


def app_of(control: Control) -> FastAPI:
    """An ASGI application that answers for `control`."""
    app = FastAPI(
        title="hubfs",
        version=version("hubfs"),
        description=ABOUT,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
    )
    for routes in (
        routes_jobs,
        routes_models,
        routes_cache,
        routes_scan,
        routes_system,
        routes_verify,
    ):
        app.include_router(routes.routes_of(control))
    app.include_router(routes_page.routes())
    problems.install(app)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Put the schema of failures, which no route returns by itself, into the document."""
    describe = app.openapi

    def with_problems() -> dict[str, object]:
        document = describe()
        schema = Problem.model_json_schema()
        document["components"]["schemas"].setdefault("Problem", schema)
        return document

    app.openapi = with_problems  # type: ignore[method-assign]
