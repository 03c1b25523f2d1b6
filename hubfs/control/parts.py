"""What the API stands on: the parts of an engine, and the checks of what people name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hubfs.budget.evictor import Evictor
from hubfs.config import Settings
from hubfs.control.roles import Role
from hubfs.control.troubles import Troubles
from hubfs.control.webhooks import check_webhook
from hubfs.errors import UsageError
from hubfs.fetch.fetcher import Fetcher
from hubfs.fuse.modes import Mode
from hubfs.hub.api import HubApi
from hubfs.jobs.queue import JobQueue
from hubfs.jobs.scrubbing import Scrubber
from hubfs.model.identifiers import is_revision
from hubfs.store.catalog import Catalog
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an engine that the API speaks to. `mountpoint` is None without a mount."""

    settings: Settings
    mountpoint: str | None
    store: Store
    catalog: Catalog
    api: HubApi
    syncer: Syncer
    fetcher: Fetcher
    evictor: Evictor
    jobs: JobQueue
    scrubber: Scrubber
    troubles: Troubles
    mode: Callable[[], Mode | None]
    role: Role

    def check_webhook(self, url: str) -> None:
        """See to it that whoever is to be told can be.

        Raises:
            UsageError: they cannot.
        """
        if url:
            check_webhook(url, self.settings.control)


def checked_revision(text: str) -> str:
    """`text` as a revision; empty is the default one.

    Raises:
        UsageError: no revision can be called that.
    """
    if text and not is_revision(text):
        raise UsageError(f"not a revision: {text!r}", hint="give a branch, a tag or a commit")
    return text
