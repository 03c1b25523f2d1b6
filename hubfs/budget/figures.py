"""What the cache takes on disk at a moment: what the ledger says, and what is in flux beside it."""

from __future__ import annotations

from collections.abc import Iterable

from hubfs.budget.policy import Figures
from hubfs.fetch.fetcher import Fetcher
from hubfs.fetch.opened import OpenContent
from hubfs.model.content import Content
from hubfs.store.ledger import blob_name, partial_name
from hubfs.store.store import Store


def figures_of(store: Store, opened: Iterable[OpenContent]) -> Figures:
    """What is taken and coming; looks at what is open, not at all that is here."""
    taken, coming = store.ledger.totals().taken, 0
    for each in opened:
        taken += each.nameless
        if each.partial is not None and each.transfer is not None:
            recorded = store.ledger.find(partial_name(each.content))
            taken += each.partial.occupied - (recorded.occupied if recorded else 0)
            coming += each.transfer.plan.claimed.total
    return Figures(taken, coming, store.space().available)


def names_open(store: Store, fetcher: Fetcher) -> set[bytes]:
    """The names in the ledger of all that is open."""
    return {name for each in fetcher.opened for name in names_of(store, each.content)}


def names_in_use(store: Store, fetcher: Fetcher) -> set[bytes]:
    """The same, and of what was open until a moment ago, as the ledger does not know yet."""
    used = {name for content in fetcher.used for name in names_of(store, content)}
    return used | names_open(store, fetcher)


def names_of(store: Store, content: Content) -> list[bytes]:
    """The names in the ledger that a content has, if it is here."""
    sha256 = content.sha256 or store.blobs.find(content)
    return [partial_name(content)] + ([blob_name(sha256)] if sha256 else [])
