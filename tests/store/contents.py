"""Contents of known bytes, and their way to become blobs."""

import hashlib
import os
from pathlib import Path

from hubfs.model.content import Content
from hubfs.model.ranges import RangeSet
from hubfs.store.partials import Partial
from hubfs.store.store import Store


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_oid_of(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_content(data: bytes) -> Content:
    return Content(len(data), sha256=sha256_of(data))


def git_content(data: bytes) -> Content:
    return Content(len(data), git_oid=git_oid_of(data))


def fetch(store: Store, content: Content, data: bytes) -> Partial:
    """A partial that holds all of `data`, durably; open."""
    partial = store.partials.open(content)
    partial.write(memoryview(data), 0)
    partial.claim(RangeSet([(0, len(data))]))
    return partial


def admit(store: Store, content: Content, data: bytes) -> Path:
    """Make `data` a blob, as a transfer does; return where it is."""
    partial = fetch(store, content, data)
    store.blobs.admit(partial.descriptor, partial.path, sha256_of(data), content)
    partial.close()
    return store.blobs.path(sha256_of(data))


def read(store: Store, content: Content) -> bytes | None:
    """The bytes of the blob of `content`, if it is here."""
    descriptor = store.blobs.open(content)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
