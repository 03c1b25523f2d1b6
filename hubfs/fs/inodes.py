"""Inode numbers: a number given by the index above, an ordinal within it below. Pure.

Directories of a repo count under their view's number and files under their
snapshot's, so a file keeps one inode however many revisions' names lead to it.
The fixed nodes at the mount's root count under number 0.

What stands beside the repos has regions of its own, told by the uppermost bits.
There a number means the same node seen in another way, or the whole of it is a
digest of what the inode is.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final, NamedTuple

ROOT: Final = 1  # the kernel's own number for the root
DATASETS: Final = 2
SPACES: Final = 3

ROOT_OF_TREE: Final = 0  # the ordinal of a tree's root; its children begin at 1
FIRST_CHILD_OF_ROOT: Final = 1

_BITS = 32
_MASK = (1 << _BITS) - 1
_REGION_SHIFT = 60  # the index will not have given 2**28 numbers in anybody's lifetime
_NUMBER_MASK = (1 << (_REGION_SHIFT - _BITS)) - 1


class Region(enum.IntEnum):
    """Which part of the tree an inode belongs to. The last bit is left out: some call it a sign."""

    REPOS = 0
    CACHED_TREES = 1  # number: a snapshot, whose directories stand in the Hub client's cache too
    CACHED_FILES = 2  # number: a view (where a ref is at) or a snapshot (its listing)
    CACHE = 3  # digests: all other nodes of the Hub client's cache
    ABSENCES = 4  # number: a snapshot, whose directories show what it lacks
    MADE_UP = 5  # digests: directories that no snapshot has
    LIVE = 6  # files that say how things are: another inode at each look


class Place(NamedTuple):
    """The two halves of an inode number."""

    number: int
    ordinal: int


def place_of(inode: int) -> Place:
    """Split an inode number. The number of a place outside the repos tells its region too."""
    return Place(inode >> _BITS, inode & _MASK)


def region_of(inode: int) -> Region:
    """The region of an inode number."""
    return Region(inode >> _REGION_SHIFT)


def number_in(region: Region, number: int) -> int:
    """The number by which the node `number` goes in `region`."""
    return region << (_REGION_SHIFT - _BITS) | number


def number_within(number: int) -> int:
    """The number that the index gave, whatever region it is seen in."""
    return number & _NUMBER_MASK


def inode_of(number: int, ordinal: int = ROOT_OF_TREE) -> int:
    """Join an inode number."""
    return number << _BITS | ordinal


def inode_of_name(region: Region, *names: str) -> int:
    """The inode of what `names` say, the same at every mount; 2**60 of them make no two alike."""
    digest = hashlib.blake2b("\0".join(names).encode("utf-8", "surrogateescape"), digest_size=8)
    return region << _REGION_SHIFT | int.from_bytes(digest.digest()) >> 4
