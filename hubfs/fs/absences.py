"""What a commit does not have, as the Hub client's cache says it: `.no_exist/<commit>/<path>`.

An empty file stands for every path that is absent, so a directory here has no
end and lists nothing. A directory that the commit has is one here too. Of any
other name nobody can tell whether it would be a file or a directory, and
clients ask for files in directories that are absent: what has a dot is taken
for a file. No network, ever.
"""

from __future__ import annotations

from hubfs.fs.attributes import FOREVER, Attributes, NodeType, absent
from hubfs.fs.inodes import Region, inode_of, inode_of_name, number_in, number_within, place_of
from hubfs.fs.trees import Trees


class Absences:
    """The absences of all commits."""

    def __init__(self, trees: Trees, nothing: Attributes) -> None:
        """Let every absent file be `nothing`, one empty file under all its names."""
        self._trees = trees
        self._nothing = nothing

    def of_snapshot(self, number: int) -> Attributes:
        """The directory of what the snapshot `number` lacks."""
        return self.directory(inode_of(number_in(Region.ABSENCES, number)))

    def directory(self, inode: int) -> Attributes:
        """The directory `inode`, of a commit or made up."""
        return Attributes(inode, NodeType.DIRECTORY, 0, self._nothing.mtime)

    def lookup(self, parent: int, name: str) -> Attributes:
        """What `name` is in a directory that a commit has."""
        number, ordinal = place_of(parent)
        tree = self._trees.numbered(number_within(number))
        found = self._trees.find(tree, self._trees.listing(tree, ordinal), name.encode())
        if found is None:
            return self.lookup_made_up(parent, name)
        if found[1].is_directory:
            return self.directory(inode_of(number, found[1].ordinal))
        return absent(FOREVER)

    def lookup_made_up(self, parent: int, name: str) -> Attributes:
        """What `name` is where no commit has it."""
        if "." in name:
            return self._nothing
        return self.directory(inode_of_name(Region.MADE_UP, str(parent), name))
