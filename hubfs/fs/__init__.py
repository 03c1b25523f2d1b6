"""The read-only tree, free of FUSE: names to inodes, inodes to attributes, contents and bytes."""
