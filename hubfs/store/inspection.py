"""A look at an index that somebody else may own: nothing is locked, nothing is written."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import lmdb

from hubfs.store.index import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """Of an index. `size` is what its pages in use take, in bytes.

    `damage` is why it cannot be read; `aside` counts damaged ones that were kept.
    """

    exists: bool
    schema: int | None = None
    known_schema: int = SCHEMA_VERSION
    size: int = 0
    damage: str = ""
    aside: int = 0


def inspect(cache: Path) -> IndexFacts:
    """Look at the index of `cache`.

    A damaged one may end the process that looks (LMDB maps it).
    """
    path = cache / "index"
    aside = len(list(cache.glob("index.damaged-*")))
    data = path / "data.mdb"
    if not data.exists() or not data.stat().st_size:
        return IndexFacts(exists=False, aside=aside)
    if (path / "suspect").exists():
        damage = "it was found to be damaged when it was last used"
        return IndexFacts(exists=True, damage=damage, aside=aside)
    try:
        schema, size = _read(path, data.stat().st_size)
    except (lmdb.Error, ValueError) as error:
        return IndexFacts(exists=True, damage=str(error), aside=aside)
    return IndexFacts(exists=True, schema=schema, size=size, aside=aside)


def _read(path: Path, size: int) -> tuple[int, int]:
    environment = lmdb.open(str(path), readonly=True, lock=False, max_dbs=1)
    with contextlib.closing(environment):
        used = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if size < used:
            raise ValueError(f"it is cut short: {size} of {used} bytes are there")
        meta = environment.open_db(b"meta", create=False)
        with environment.begin() as txn:
            return int(txn.get(b"schema", db=meta) or b"0"), used
