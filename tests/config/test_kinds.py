from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.config.kinds import parse_size
from hubfs.errors import UsageError

POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("500K", 512_000),
        ("1.5G", 3 << 29),
        ("20GiB", 20 << 30),
        ("20gb", 20 << 30),
        ("50M/s", 50 << 20),
        (" 2 T ", 2 << 40),
        ("0.5k", 512),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "G", "-1", "1,5G", "1.5.2", "5X", "0x10", "1e3", "inf", "nan", "٣", "1" + "0" * 400],
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="such as 500M"):
        parse_size(text)


@given(st.integers(0, 1 << 50), st.sampled_from(sorted(POWERS)))
def test_units_are_powers_of_1024(count: int, unit: str) -> None:
    assert parse_size(f"{count}{unit}") == count << 10 * POWERS[unit]
