"""The comparison of disk and index, beside the plainest description of it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hubfs.store.flaws import (
    MODE,
    Case,
    Flaw,
    Present,
    Watermark,
    cases_of,
    flaws_of,
    split_partials,
)

NAMES = st.sampled_from([f"{number:064x}" for number in range(12)])
SIZES = st.integers(0, 3)
PRESENT = st.builds(Present, SIZES, st.sampled_from([0, 0o400, MODE, 0o644]), st.integers(1, 2))


@given(st.dictionaries(NAMES, SIZES), st.dictionaries(NAMES, PRESENT))
def test_every_blob_that_either_side_knows_is_a_case_once_and_in_order(
    recorded: dict[str, int], present: dict[str, Present]
) -> None:
    found = cases_of(recorded, present)
    assert [case.sha256 for case in found] == sorted({*recorded, *present})
    assert {case.sha256: case.recorded for case in found if case.recorded is not None} == recorded
    assert {case.sha256: case.present for case in found if case.present is not None} == present


@given(NAMES, st.none() | SIZES, st.none() | PRESENT, st.none() | NAMES)
def test_a_blob_has_the_flaws_that_can_be_seen_in_it(
    name: str, recorded: int | None, present: Present | None, holds: str | None
) -> None:
    found = set(flaws_of(Case(name, recorded, present), holds))
    is_here = present is not None
    is_right = is_here and holds == name
    assert (Flaw.MISSING in found) == (not is_here)
    assert (Flaw.UNREADABLE in found) == (is_here and holds is None)
    assert (Flaw.UNRECORDED in found) == (is_right and recorded is None)
    if present is not None:
        differs = recorded is not None and recorded != present.size
        is_wrong = holds is not None and holds != name
        assert (Flaw.CUT in found) == (is_wrong and differs)
        assert (Flaw.CORRUPT in found) == (is_wrong and not differs)
        assert (Flaw.MISRECORDED in found) == (is_right and differs)
        is_ours_alone = present.links == 1
        is_odd = present.mode != MODE and (is_ours_alone or present.mode == 0)
        assert (Flaw.MODE in found) == (is_right and is_odd)
    if present is not None and is_right and recorded == present.size and present.mode == MODE:
        assert not found


@given(st.lists(NAMES, unique=True), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_watermark_never_passes_what_has_not_ended(
    keys: list[str], at_once: int, chance: random.Random
) -> None:
    keys, mark = sorted(keys), Watermark()
    waiting, under_way, ended = list(keys), list[str](), set[str]()
    while waiting or under_way:
        if waiting and len(under_way) < at_once:
            under_way.append(waiting.pop(0))
            mark.begin(under_way[-1])
        else:
            key = under_way.pop(chance.randrange(len(under_way)))
            mark.end(key)
            ended.add(key)
        passed = [key for key in keys if key <= mark.reached]
        assert ended.issuperset(passed)
        left = [key for key in keys if key not in ended]
        # And it lags behind no further than it must.
        assert passed == [key for key in keys if not left or key < left[0]]


@given(st.sets(NAMES), st.sets(NAMES), st.sets(NAMES))
def test_partials_in_use_are_no_strays(
    files: set[str], recorded: set[str], in_use: set[str]
) -> None:
    strays, lost = split_partials(files, recorded, in_use)
    for name in files | recorded | in_use:
        is_free = name not in in_use
        assert (name in strays) == (is_free and name in files and name not in recorded)
        assert (name in lost) == (is_free and name in recorded and name not in files)
