"""An inode number says what it is of, and no two things have the same."""

from hypothesis import given
from hypothesis import strategies as st

from hubfs.fs.inodes import (
    DATASETS,
    ROOT,
    SPACES,
    Place,
    Region,
    inode_of,
    inode_of_name,
    number_in,
    number_within,
    place_of,
    region_of,
)

numbers = st.integers(0, (1 << 28) - 1)
ordinals = st.integers(0, (1 << 32) - 1)
regions = st.sampled_from(Region)


@given(numbers, ordinals)
def test_a_number_is_split_as_it_was_joined(number: int, ordinal: int) -> None:
    assert place_of(inode_of(number, ordinal)) == Place(number, ordinal)


@given(regions, numbers, ordinals)
def test_a_place_beside_the_repos_tells_its_region(
    region: Region, number: int, ordinal: int
) -> None:
    inode = inode_of(number_in(region, number), ordinal)
    assert region_of(inode) == region
    assert number_within(place_of(inode).number) == number
    assert place_of(inode).ordinal == ordinal


@given(regions, st.lists(st.text(), min_size=1))
def test_what_is_digested_stays_in_its_region(region: Region, names: list[str]) -> None:
    inode = inode_of_name(region, *names)
    assert region_of(inode) == region
    assert inode_of_name(region, *names) == inode


@given(regions, numbers, ordinals)
def test_no_number_is_negative_to_who_calls_it_signed(
    region: Region, number: int, ordinal: int
) -> None:
    assert 0 <= inode_of(number_in(region, number), ordinal) < 1 << 63


def test_the_fixed_nodes_belong_to_no_number() -> None:
    assert [place_of(inode) for inode in (ROOT, DATASETS, SPACES)] == [(0, 1), (0, 2), (0, 3)]
