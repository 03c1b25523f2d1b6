"""What a program that opens a file is likely to read after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hubfs.fetch.opened import Place as Wanted
from hubfs.fs.trees import Tree, Trees
from hubfs.model.content import MIB, Source
from hubfs.model.shards import following_shards
from hubfs.model.tree import Entry, Listing
from hubfs.model.walks import Walks

SHARDS_AHEAD: Final = 2
SMALL: Final = MIB  # of a larger file the first block comes as soon as many small ones


class Ahead:
    """Knows the trees, and who goes through them."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self._walks = Walks()

    def shards(self, tree: Tree, listing: Listing, entry: Entry) -> tuple[Wanted, ...]:
        """The next parts of the set of weights that `entry` is a part of."""
        names = following_shards(entry.name.decode(), SHARDS_AHEAD)
        found = [self._trees.find(tree, listing, name.encode()) for name in names]
        return tuple(
            _wanted(tree, *each) for each in found if each is not None and not each[1].is_directory
        )

    def siblings(
        self, tree: Tree, listing: Listing, entry: Entry, *, is_cold: bool
    ) -> tuple[Wanted, ...]:
        """The small files that follow in the directory, if it is read file by file.

        Call it once for each file that is opened; `is_cold` if it is not here.
        """
        ordinals = self._walks.note(tree.snapshot.number, entry.ordinal, is_cold=is_cold)
        return tuple(self._small_files(tree, listing, ordinals))

    def _small_files(self, tree: Tree, listing: Listing, ordinals: range) -> Iterator[Wanted]:
        for ordinal in range(ordinals.start, min(ordinals.stop, listing.whole.stop)):
            found = self._trees.find_entry(tree, ordinal)
            if found is not None and not found[1].is_directory and found[1].size <= SMALL:
                yield _wanted(tree, *found)


def _wanted(tree: Tree, listing: Listing, entry: Entry) -> Wanted:
    return entry.content, Source(str(tree.repo), tree.commit, listing.path_of(entry))
