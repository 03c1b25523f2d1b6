"""Bytes without a pattern, and what a listing says of them."""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache

from hubfs.model.content import Content


@lru_cache(maxsize=8)
def sample(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same in every run, and of which no block occurs twice."""
    return random.Random(seed).randbytes(size)


def content_of(data: bytes, *, lfs: bool = True) -> Content:
    """What a listing promises of `data`, as an LFS file or as a plain one."""
    if lfs:
        return Content(len(data), sha256=hashlib.sha256(data).hexdigest())
    return Content(len(data), git_oid=hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest())
