"""Which opens are passed through: the kernel refuses to mix, so the table must never do."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubfs.fuse.backing import Backings


class FakeKernel:
    """Keeps the kernel's own rules: one mode, and one backing file, per inode at a time."""

    def __init__(self) -> None:
        self.registered: set[int] = set()
        self.is_refusing = False
        self._next = 1

    def register(self, descriptor: int) -> int:
        del descriptor
        if self.is_refusing:
            raise OSError(40, "Too many levels of symbolic links")
        self._next += 1
        self.registered.add(self._next)
        return self._next

    def withdraw(self, backing: int) -> None:
        self.registered.remove(backing)


def test_a_complete_file_is_passed_through() -> None:
    kernel = FakeKernel()
    assert Backings(kernel).open(1, 10, 3) in kernel.registered


def test_a_file_opened_cold_stays_cached_until_its_last_cached_open_goes() -> None:
    backings = Backings(FakeKernel())
    assert backings.open(1, 10, None) is None
    assert backings.open(1, 11, 3) is None
    backings.close(1, 10)
    assert backings.open(1, 12, 3) is None
    backings.close(1, 11)
    backings.close(1, 12)
    assert backings.open(1, 13, 3) is not None


def test_an_evicted_file_is_opened_on_the_backing_that_its_other_opens_have() -> None:
    backings = Backings(FakeKernel())
    first = backings.open(1, 10, 3)
    assert backings.open(1, 11, None) == first


def test_a_backing_is_withdrawn_with_its_last_open() -> None:
    kernel = FakeKernel()
    backings = Backings(kernel)
    backings.open(1, 10, 3)
    backings.open(1, 11, 3)
    backings.close(1, 10)
    assert len(kernel.registered) == 1
    backings.close(1, 11)
    assert not kernel.registered


def test_a_refusing_kernel_leaves_files_cached_and_says_why() -> None:
    kernel = FakeKernel()
    kernel.is_refusing = True
    backings = Backings(kernel)
    assert backings.open(1, 10, 3) is None
    assert "overlayfs" in backings.refusal


class Opens(RuleBasedStateMachine):
    """Opens and closes at random: the kernel's rules hold at every step, and nothing leaks."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = FakeKernel()
        self.backings = Backings(self.kernel)
        self.open_now: dict[int, tuple[int, int | None]] = {}
        self.next_handle = 1

    @rule(node=st.integers(1, 3), descriptor=st.none() | st.just(3), refuses=st.booleans())
    def open_file(self, node: int, descriptor: int | None, refuses: bool) -> None:
        self.kernel.is_refusing = refuses
        backing = self.backings.open(node, self.next_handle, descriptor)
        self.open_now[self.next_handle] = (node, backing)
        self.next_handle += 1

    @rule(data=st.data())
    def close_file(self, data: st.DataObject) -> None:
        if self.open_now:
            handle = data.draw(st.sampled_from(sorted(self.open_now)))
            node, _ = self.open_now.pop(handle)
            self.backings.close(node, handle)

    @invariant()
    def no_inode_is_open_in_two_ways(self) -> None:
        for node in (1, 2, 3):
            assert len({backing for at, backing in self.open_now.values() if at == node}) <= 1

    @invariant()
    def exactly_the_backings_in_use_are_registered(self) -> None:
        in_use = {backing for _, backing in self.open_now.values() if backing is not None}
        assert self.kernel.registered == in_use


TestOpens = Opens.TestCase
TestOpens.settings = settings(max_examples=60, stateful_step_count=40)
