"""A look at a cache from outside, while somebody owns it and while nobody does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hubfs.store.index import SCHEMA_VERSION
from hubfs.store.inspection import inspect
from hubfs.store.store import Store
from hubfs.store.survey import survey


def test_a_cache_that_is_not_made_yet_is_judged_by_where_it_would_be(tmp_path: Path) -> None:
    facts = survey(tmp_path / "not" / "yet")
    assert not facts.exists
    assert not facts.write_error
    assert 0 < facts.available <= facts.total
    assert facts.file_system not in {"", "unknown"}
    assert (facts.owner, facts.is_locked) == (None, False)
    assert list(tmp_path.iterdir()) == [], "a look leaves nothing behind"
    assert not inspect(tmp_path / "not" / "yet").exists


def test_a_file_in_the_place_of_a_cache_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        facts = survey(path)
        assert (facts.exists, facts.write_error) == (False, f"{file} is a file, not a directory")


def test_an_owned_cache_can_be_looked_at_and_its_owner_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path, "/models")
    facts = survey(tmp_path)
    assert facts.is_locked
    assert facts.owner is not None
    assert facts.owner.mountpoint == "/models"
    # Another process looks: LMDB lets one open an index once.
    program = "import sys, pathlib; from hubfs.store.inspection import inspect"
    program += "; print(inspect(pathlib.Path(sys.argv[1])).schema)"
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert int(subprocess.run(command, capture_output=True, check=True).stdout) == SCHEMA_VERSION
    store.index.write(lambda txn: txn.put(b"k", b"v", db=store.index.table("meta")))
    store.close()
    facts = survey(tmp_path)
    assert (facts.owner, facts.is_locked) == (None, False)


def test_a_damaged_index_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    Store(tmp_path).close()
    data = tmp_path / "index/data.mdb"
    (tmp_path / "index.damaged-1").mkdir()
    with data.open("rb") as file:
        cut = file.read(8192)
    for damage in (cut, b"not an index" * 1000):
        data.write_bytes(damage)
        facts = inspect(tmp_path)
        assert (facts.exists, bool(facts.damage), facts.aside) == (True, True, 1)
        assert data.read_bytes() == damage
