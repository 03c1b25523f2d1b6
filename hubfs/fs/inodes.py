"""Inode numbers: a number given by the index above, an ordinal within it below. Pure.

Directories of a repo count under their view's number and files under their
snapshot's, so a file keeps one inode however many revisions' names lead to it.
The fixed nodes at the mount's root count under number 0.
"""

from __future__ import annotations

from typing import Final, NamedTuple

ROOT: Final = 1  # the kernel's own number for the root
DATASETS: Final = 2
SPACES: Final = 3

ROOT_OF_TREE: Final = 0  # the ordinal of a tree's root; its children begin at 1
FIRST_CHILD_OF_ROOT: Final = 1

_BITS = 32
_MASK = (1 << _BITS) - 1


class Place(NamedTuple):
    """The two halves of an inode number."""

    number: int
    ordinal: int


def place_of(inode: int) -> Place:
    """Split an inode number."""
    return Place(inode >> _BITS, inode & _MASK)


def inode_of(number: int, ordinal: int = ROOT_OF_TREE) -> int:
    """Join an inode number."""
    return number << _BITS | ordinal
