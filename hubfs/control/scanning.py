"""The wish for a scan: what the API takes, and the job that it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from hubfs.config.places import hub_cache_dir
from hubfs.control.models import Background, Question, Webhook
from hubfs.errors import UsageError
from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind


class ScanRequest(Question):
    """Adopt what is on this node's disks already."""

    path: Annotated[
        str,
        Field(
            max_length=4096,
            description="A folder, or a file, of this node; empty for the Hub client's cache.",
            examples=["", "/data/models"],
        ),
    ] = ""
    copy_files: bool = Field(
        default=False,
        alias="copy",
        description="Copy what cannot share its blocks, rather than link it.",
    )
    all: bool = Field(default=False, description="Adopt every file, be it of a model or not.")
    background: Background = False
    webhook: Webhook = ""


def wanted_of(wish: ScanRequest) -> Wanted:
    """The job that does what is wished.

    Raises:
        UsageError: the path means nothing here.
    """
    path = Path(wish.path) if wish.path else hub_cache_dir()
    if not path.is_absolute():
        raise UsageError(f"{wish.path!r} is relative, but to what?", hint="give the whole path")
    arguments = {"path": str(path), "copy": wish.copy_files, "all": wish.all}
    return Wanted(JobKind.SCAN, arguments, wish.webhook, in_background=wish.background)
