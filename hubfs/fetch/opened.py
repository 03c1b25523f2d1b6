"""A content that somebody has open: shared by all handles on it, whatever path they came by."""

from __future__ import annotations

import os
from typing import TypeAlias

import trio

from hubfs.fetch.transfer import Transfer
from hubfs.model.content import Content, Source
from hubfs.store.files import occupied_by
from hubfs.store.partials import Partial

Place: TypeAlias = tuple[Content, Source]


class OpenContent:
    """The files behind a content, for as long as anything uses them."""

    def __init__(self, content: Content, source: Source, blob: int | None) -> None:
        """Own the descriptor `blob` of a complete blob, if there is one."""
        self.content = content
        self.sources = [source]
        self.users = 0
        self.inodes: set[int] = set()  # under which the kernel may keep its pages
        self.following: tuple[Place, ...] = ()  # what loaders read after it
        self.transfer: Transfer | None = None
        self.retired: list[Partial] = []
        self.opening = trio.Lock()
        self._blob = blob

    def add_source(self, source: Source) -> None:
        """It can be had at `source` too."""
        if source not in self.sources:
            self.sources.append(source)
        if self.transfer is not None:
            self.transfer.add_source(source)

    def adopt(self, blob: int | None) -> None:
        """Own the descriptor of a blob that was found after all."""
        self._blob = blob

    @property
    def is_complete(self) -> bool:
        """Whether every read can be answered from the file, verified."""
        if self._blob is not None or not self.content.size:
            return True
        return self.transfer is not None and self.transfer.is_admitted

    @property
    def descriptor(self) -> int:
        """The file that holds what `ensure` promised; valid until the last user is gone."""
        if self._blob is not None:
            return self._blob
        assert self.transfer is not None  # noqa: S101 - `ensure` has made it
        return self.transfer.partial.descriptor

    @property
    def partial(self) -> Partial | None:
        """The file that it is being fetched into."""
        is_under_way = self.transfer is not None and not self.transfer.is_admitted
        return self.transfer.partial if self.transfer and is_under_way else None

    @property
    def nameless(self) -> int:
        """What files without a name take on disk until they are closed."""
        held = [partial.descriptor for partial in self.retired]
        held += [self.descriptor] if self.is_complete and self.content.size else []
        found = map(os.fstat, held)
        return sum(occupied_by(each) for each in found if not each.st_nlink)

    def close_files(self) -> None:
        """Close all descriptors. No read may be under way."""
        if self._blob is not None:
            os.close(self._blob)
        partials = [self.transfer.partial] if self.transfer else []
        for partial in partials + self.retired:
            partial.close()
