"""Mounts, told apart whatever they are called."""

from __future__ import annotations

import os

from hubfs.model.mountinfo import MountEntry, mounts_in

LINES = (
    b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    b"36 22 0:49 / /mnt/a\\040b\\011c\\012d\\134e ro,nosuid - fuse.hubfs http://hub ro\n"
    b"37 22 0:50 / /mnt/\xff\xe2\x80\xa8 rw shared:2 master:1 - proc \xc2\x85 rw\n"
)


def test_each_line_is_a_mount() -> None:
    """Fields before the dash vary in number; names are bytes, and may be none of UTF-8."""
    root, ours, other = mounts_in(LINES)
    assert root == MountEntry("/", "254:0", "ext4", "/dev/vda")
    assert ours == MountEntry("/mnt/a b\tc\nd\\e", "0:49", "fuse.hubfs", "http://hub")
    assert (os.fsencode(other.mountpoint), other.source) == (b"/mnt/\xff\xe2\x80\xa8", "\x85")
    assert root.st_dev == os.makedev(254, 0)


def test_a_machine_without_mounts_has_none() -> None:
    assert mounts_in(b"") == []
