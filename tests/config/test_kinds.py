from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.config.amounts import Amount
from hubfs.config.kinds import PACE
from hubfs.config.sizes import amount_text, parse_amount, parse_size
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


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500G", Amount(500 << 30)),
        ("80%", Amount(share=0.8)),
        ("12.5 %", Amount(share=0.125)),
        ("1G, 5%", Amount(1 << 30, 0.05)),
        ("0", Amount(0)),
        ("none", Amount()),
    ],
)
def test_amounts_are_sizes_shares_or_the_smaller_of_both(text: str, amount: Amount) -> None:
    assert parse_amount(text) == amount
    assert parse_amount(amount_text(amount)) == amount


@pytest.mark.parametrize("text", ["", "%", "101%", "-5%", "1G,", "5 percent", "1e3%"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not an amount such as"):
        parse_amount(text)


def test_of_two_bounds_the_smaller_one_counts() -> None:
    assert Amount(100, 0.5).of(150) == 75
    assert Amount(100, 0.5).of(1000) == 100
    assert Amount().of(1000) is None


@pytest.mark.parametrize(("text", "pace"), [("auto", None), ("off", 0), ("0", 0), ("2M", 2 << 20)])
def test_a_pace_is_a_rate_or_a_word(text: str, pace: int | None) -> None:
    assert PACE.parse(text) == pace
    assert PACE.parse(PACE.text(pace)) == pace


def test_what_is_no_pace_is_refused_with_an_example() -> None:
    with pytest.raises(UsageError, match="such as 20M, auto or off"):
        PACE.parse("slowly")
