"""The page at `/`: one file, nothing from elsewhere, and no way for other sites into it."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse


def routes() -> APIRouter:
    """The route of the page."""
    router = APIRouter()
    page = (files("hubfs.control") / "page.html").read_text()
    headers = {
        "content-security-policy": _policy(page),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }

    @router.get("/", include_in_schema=False)
    async def root() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    return router


def _policy(page: str) -> str:
    """Only the page's own script and style run, and they reach this server alone."""
    script, style = (_hash(page, tag) for tag in ("script", "style"))
    # Bars are as wide as a style attribute says, which a script sets: that needs no permission.
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self';"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def _hash(page: str, tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None  # noqa: S101 - the page is ours
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
