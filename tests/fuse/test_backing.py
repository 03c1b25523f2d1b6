"""Which opens are passed through: the kernel refuses to mix, so the table must never do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubfs.fuse.backing import CACHED, REFUSED, Backings, Way
from hubfs.store.links import linking


class FakeKernel:
    """Keeps the kernel's own rules: one mode, and one backing file, per inode at a time.

    As the kernel does, it keeps the files that it is given open.
    """

    def __init__(self) -> None:
        self.files: dict[int, int] = {}
        self.is_refusing = False
        self._next = 1

    @property
    def registered(self) -> set[int]:
        return {*self.files}

    def register(self, descriptor: int) -> int:
        if self.is_refusing:
            raise OSError(40, "Too many levels of symbolic links")
        self._next += 1
        self.files[self._next] = os.dup(descriptor)
        return self._next

    def withdraw(self, backing: int) -> None:
        os.close(self.files.pop(backing))

    def close(self) -> None:
        for backing in self.registered:
            self.withdraw(backing)


@pytest.fixture
def kernel() -> Iterator[FakeKernel]:
    with closing(FakeKernel()) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Descriptors of two blobs."""
    root = tmp_path_factory.mktemp("blobs")
    with (root / "one").open("wb") as one, (root / "two").open("wb") as two:
        yield [one.fileno(), two.fileno()]


def test_a_complete_file_is_passed_through(kernel: FakeKernel, files: list[int]) -> None:
    assert Backings(kernel).open(1, 10, files[0]).backing in kernel.registered


def test_a_file_opened_cold_stays_cached_until_its_last_cached_open_goes(
    kernel: FakeKernel, files: list[int]
) -> None:
    backings = Backings(kernel)
    assert backings.open(1, 10, None) == CACHED
    assert backings.open(1, 11, files[0]) == CACHED
    backings.close(1, 10)
    assert backings.open(1, 12, files[0]) == CACHED
    backings.close(1, 11)
    backings.close(1, 12)
    assert backings.open(1, 13, files[0]).backing


def test_all_opens_of_a_file_share_a_backing_whatever_descriptor_they_come_by(
    kernel: FakeKernel,
    files: list[int],
) -> None:
    backings = Backings(kernel)
    first = backings.open(1, 10, files[0])
    with os.fdopen(os.dup(files[0])) as other:
        assert backings.open(1, 11, other.fileno()) == first


@pytest.mark.parametrize("is_here_again", [False, True])
def test_nobody_is_given_a_blob_that_was_set_aside_while_others_read_it(
    kernel: FakeKernel, files: list[int], is_here_again: bool
) -> None:
    backings = Backings(kernel)
    backings.open(1, 10, files[0])
    assert backings.open(1, 11, files[1] if is_here_again else None) == REFUSED
    backings.close(1, 10)
    assert backings.open(1, 12, files[1]).backing


def test_a_backing_is_withdrawn_with_its_last_open(kernel: FakeKernel, files: list[int]) -> None:
    backings = Backings(kernel)
    backings.open(1, 10, files[0])
    backings.open(1, 11, files[0])
    backings.close(1, 10)
    assert len(kernel.registered) == 1
    backings.close(1, 11)
    assert not kernel.registered


def test_a_refusing_kernel_leaves_files_cached_and_says_why(
    kernel: FakeKernel, files: list[int]
) -> None:
    kernel.is_refusing = True
    backings = Backings(kernel)
    assert backings.open(1, 10, files[0]) == CACHED
    assert "overlayfs" in backings.refusal


def test_no_link_is_made_of_what_is_passed_through_and_nothing_linked_is_passed_through(
    kernel: FakeKernel, tmp_path: Path
) -> None:
    blob = tmp_path / "blob"
    blob.touch()
    backings = Backings(kernel)
    with blob.open("rb") as exported:
        with linking(exported.fileno()) as is_allowed, blob.open("rb") as ours:
            assert is_allowed
            assert backings.open(1, 10, ours.fileno()) == CACHED
        with blob.open("rb") as ours:
            assert backings.open(2, 11, ours.fileno()).backing
        with linking(exported.fileno()) as is_allowed:
            assert not is_allowed
        backings.close(2, 11)
        with linking(exported.fileno()) as is_allowed:
            assert is_allowed
            (tmp_path / "exported").hardlink_to(blob)
        with blob.open("rb") as ours:
            assert backings.open(3, 12, ours.fileno()) == CACHED
        assert not backings.refusal


class Opens(RuleBasedStateMachine):
    """Opens and closes at random: the kernel's rules hold at every step, and nothing leaks."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()
        self.kernel = self.undo.enter_context(closing(FakeKernel()))
        self.backings = Backings(self.kernel)
        self.open_now: dict[int, tuple[int, Way]] = {}
        self.next_handle = 1
        self.files = [self._file(), self._file()]

    def _file(self) -> IO[bytes]:
        return self.undo.enter_context(tempfile.TemporaryFile())

    def teardown(self) -> None:
        self.undo.close()

    @rule(node=st.integers(1, 3), which=st.none() | st.integers(0, 1), refuses=st.booleans())
    def open_file(self, node: int, which: int | None, refuses: bool) -> None:
        self.kernel.is_refusing = refuses
        descriptor = None if which is None else self.files[which].fileno()
        way = self.backings.open(node, self.next_handle, descriptor)
        if not way.is_refused:
            self.open_now[self.next_handle] = (node, way)
        self.next_handle += 1
        if way.backing:
            assert descriptor is not None
            assert os.path.sameopenfile(self.kernel.files[way.backing], descriptor)

    @rule(data=st.data())
    def close_file(self, data: st.DataObject) -> None:
        if self.open_now:
            handle = data.draw(st.sampled_from(sorted(self.open_now)))
            node, _ = self.open_now.pop(handle)
            self.backings.close(node, handle)

    @invariant()
    def no_inode_is_open_in_two_ways(self) -> None:
        for node in (1, 2, 3):
            assert len({way for at, way in self.open_now.values() if at == node}) <= 1

    @invariant()
    def exactly_the_backings_in_use_are_registered(self) -> None:
        in_use = {way.backing for _, way in self.open_now.values() if way.backing}
        assert self.kernel.registered == in_use


TestOpens = Opens.TestCase
TestOpens.settings = settings(max_examples=60, stateful_step_count=40)
