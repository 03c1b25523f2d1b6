"""Numbers as people read them."""

from __future__ import annotations

from hubfs.model.units import counted


def test_one_is_told_from_many() -> None:
    assert [counted(count, "repo") for count in (0, 1, 2)] == ["0 repos", "1 repo", "2 repos"]
    assert counted(1, "address", "addresses") == "1 address"
    assert counted(2, "address", "addresses") == "2 addresses"
