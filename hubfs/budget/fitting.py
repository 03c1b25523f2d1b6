"""Whether what somebody wants to have here, all of it at once, can be here at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial as bind

import trio

from hubfs.budget import policy
from hubfs.budget.evictor import Evictor
from hubfs.budget.figures import names_of
from hubfs.errors import StoreFull
from hubfs.model.content import Content
from hubfs.model.units import size_text
from hubfs.store.ledger import Item
from hubfs.store.store import Store


async def check_fits(
    store: Store, evictor: Evictor, what: str, size: int, contents: Iterable[Content]
) -> None:
    """See to it that the contents, of `size` bytes altogether, can be here at once.

    Raises:
        StoreFull: they cannot, whatever is deleted for them; it tells the sizes.
    """
    if size < policy.room_of(evictor.limits(), evictor.figures()):
        return
    stays = await evictor.names_that_stay()
    count = bind(_beside, store, stays, contents)
    wanted, fixed = await trio.to_thread.run_sync(count)
    capacity = policy.capacity_of(evictor.limits(), evictor.figures(), fixed)
    if wanted > capacity:
        raise StoreFull(
            f"{what} does not fit: {size_text(wanted)} are wanted, and at most"
            f" {size_text(capacity)} can be here beside {size_text(fixed)} pinned or open",
            hint="raise --cache-size, unpin something (hubfs pin lists it), or want fewer files",
        )


def _beside(store: Store, stays: set[bytes], contents: Iterable[Content]) -> tuple[int, int]:
    """(bytes wanted beside what is here of what stays anyway, bytes of what stays).

    What is pinned or open need not be here, or not all of it.
    """
    found = map(store.ledger.find, stays)
    here = {item.name: item for item in found if item is not None}
    wanted = sum(_lacking(store, here, content) for content in contents)
    return wanted, sum(item.occupied for item in here.values())


def _lacking(store: Store, here: Mapping[bytes, Item], content: Content) -> int:
    names = names_of(store, content)
    return max(0, content.size - sum(here[name].size for name in names if name in here))
