"""A content that somebody has open: shared by all handles on it, whatever path they came by."""

from __future__ import annotations

import os
from typing import NamedTuple, TypeAlias

import trio

from hubfs.fetch.transfer import Transfer
from hubfs.model.content import Content, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.files import occupied_by
from hubfs.store.links import Stamp
from hubfs.store.partials import Partial

Place: TypeAlias = tuple[Content, Source]


class OpenBlob(NamedTuple):
    """A descriptor of a complete blob, whose file was last written at `written_ns`.

    `stamp` says how the file must be, if it is shared.
    """

    descriptor: int
    written_ns: int
    stamp: Stamp | None = None

    @property
    def is_as_it_was(self) -> bool:
        """Whether a shared file still is as it was when it was last found right."""
        return Stamp.of(os.fstat(self.descriptor)) == self.stamp

    @property
    def is_ours(self) -> bool:
        """Whether the file was never shared, or nobody has written to it while it was."""
        return self._is_unwritten(os.fstat(self.descriptor))

    @property
    def is_ours_alone(self) -> bool:
        """Whether it is, and nobody else has a name for it now."""
        found = os.fstat(self.descriptor)
        return found.st_nlink <= 1 and self._is_unwritten(found)

    def _is_unwritten(self, found: os.stat_result) -> bool:
        return self.stamp is None and found.st_mtime_ns == self.written_ns


class OpenContent:
    """The files behind a content, for as long as anything uses them."""

    def __init__(self, content: Content, source: Source, blob: OpenBlob | None) -> None:
        """Own the complete blob, if there is one."""
        self.content = content
        self.sources = [source]
        self.users = 0
        self.inodes: set[int] = set()  # under which the kernel may keep its pages
        self.following: tuple[Place, ...] = ()  # what loaders read after it
        self.transfer: Transfer | None = None
        self.retired: list[Partial] = []
        self._retired_blobs: list[OpenBlob] = []
        self.opening = trio.Lock()
        self._blob = blob

    def add_source(self, source: Source) -> None:
        """It can be had at `source` too."""
        if source not in self.sources:
            self.sources.append(source)
        if self.transfer is not None:
            self.transfer.add_source(source)

    def adopt(self, blob: OpenBlob) -> None:
        """Own a blob that was found after all.

        One descriptor of a file is enough, however often the file was doubted and found right.
        """
        for known in self._retired_blobs:
            if os.path.sameopenfile(known.descriptor, blob.descriptor):
                os.close(blob.descriptor)
                blob = blob._replace(descriptor=known.descriptor)
                self._retired_blobs.remove(known)
                break
        self._blob = blob

    def distrust(self) -> None:
        """Serve nothing more from the blob that it has: it is bad, and has been set aside.

        Reads under way keep their descriptor; the next one fetches.
        """
        if self._blob is not None:
            self._retired_blobs.append(self._blob)
            self._blob = None
        if self.transfer is not None and self.transfer.is_admitted:
            self.retired.append(self.transfer.partial)
            self.transfer = None

    @property
    def shared_blob(self) -> OpenBlob | None:
        """The blob, if others may write to its file."""
        blob = self._blob
        return blob if blob is not None and blob.stamp is not None else None

    def doubt_if_linked(self) -> None:
        """If its own file has got another name, or was written by one, look at it anew.

        The next `ensure` does, and finds out how the file is now.
        """
        whole = self._whole
        if whole is not None and whole.stamp is None and not whole.is_ours_alone:
            self.distrust()

    def doubt(self, blob: OpenBlob) -> None:
        """Its file is not as it was: the next `ensure` finds out what became of it."""
        if self._blob is blob:
            self._retired_blobs.append(blob)  # somebody may still read from it
            self._blob = None

    @property
    def is_complete(self) -> bool:
        """Whether every read can be answered from the file, verified."""
        return self._whole is not None or not self.content.size

    @property
    def _whole(self) -> OpenBlob | None:
        """The file that holds all of it, verified. Thread-safe."""
        blob, transfer = self._blob, self.transfer
        if blob is None and transfer is not None and transfer.is_admitted:
            return OpenBlob(transfer.partial.descriptor, transfer.written_ns)
        return blob

    @property
    def own_descriptor(self) -> int | None:
        """Of the file that holds all of it, if it is the store's own. Thread-safe.

        Others may have got a name for it meanwhile, and have not written to it.
        """
        whole = self._whole
        return whole.descriptor if whole is not None and whole.is_ours else None

    def at_hand(self, span: ByteRange) -> int | None:
        """A descriptor to read `span` from at once. Thread-safe.

        None where bytes must come first, or the file must be looked at, since others may have
        written to it.
        """
        blob, transfer = self._blob, self.transfer
        if blob is None and transfer is not None and not transfer.is_admitted:
            return transfer.descriptor_with(span)
        whole = self._whole
        return whole.descriptor if whole is not None and whole.is_ours_alone else None

    @property
    def descriptor(self) -> int:
        """The file that holds what `ensure` promised; valid until the last user is gone."""
        blob = self._blob
        if blob is not None:
            return blob.descriptor
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
        held += [blob.descriptor for blob in self._retired_blobs]
        held += [self.descriptor] if self.is_complete and self.content.size else []
        found = map(os.fstat, held)
        return sum(occupied_by(each) for each in found if not each.st_nlink)

    def close_files(self) -> None:
        """Close all descriptors; from now on nothing is here. No read may be under way."""
        blobs = [self._blob, *self._retired_blobs]
        partials = [self.transfer.partial if self.transfer else None, *self.retired]
        self._blob = self.transfer = None
        for blob in filter(None, blobs):
            os.close(blob.descriptor)
        for partial in filter(None, partials):
            partial.close()
