"""Faults in any sequence, beside a dict of bytes: no wrong byte, ever; an error or recovery.

A repo is pushed to, synced, read, its blobs removed behind hubfs's back, its
fetcher stopped and started, while faults come and go. What a reader gets is
what the dict has, or one of the errors that README promises; and once the
weather is fine again, it is what the dict has.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)

from hubfs.budget.evictor import Evictor
from hubfs.config import CacheSettings
from hubfs.errors import ContentMismatch, FetchFailed
from hubfs.fetch.opened import OpenContent
from hubfs.fetch.plan import WHOLE_UP_TO
from hubfs.model.content import MIB, Content, Source
from tests.fetch.rig import listed
from tests.fetch.samples import sample
from tests.localhub import Fault, File, LocalHub
from tests.weather.faults import LASTING, PASSING
from tests.weather.loop import Loop

REPO = "acme/model"
PATHS = ("config.json", "tokenizer.bin", "model.bin")
SIZES = {"config.json": 3_000, "tokenizer.bin": 200_000, "model.bin": WHOLE_UP_TO + MIB + 7}
SILENCE = 0.5
HASTE = 20.0
PATIENCE = 600.0  # of the fetcher's time
# Bytes that stay wrong, of files that are verified before they are served.
CORRUPTIONS = [
    [Fault("corrupt", path="config.json", at=100)],
    [Fault("corrupt", path="config.json", at=100, times=2)],
    [Fault("corrupt", path="tokenizer.bin", at=100_000, times=3)],
]

T = TypeVar("T")
Handle = tuple[OpenContent, bytes]
paths = st.sampled_from(PATHS)
places = st.floats(0, 1)
lengths = st.integers(1, 2 * MIB)


class BadWeather(RuleBasedStateMachine):
    """A hub, a cache and one fetcher at a time, beside what the bytes should be."""

    handles = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        self._undo = ExitStack()
        self._cache = Path(tempfile.mkdtemp(prefix="weather-"))
        self._undo.callback(shutil.rmtree, self._cache)
        self.hub = self._undo.enter_context(LocalHub(token="hf_test"))
        self.pushes = 0
        self.is_lasting = False
        self.pushed: dict[str, bytes] = {}  # the head's bytes
        self.synced: dict[str, tuple[Content, Source, bytes]] = {}  # what the listing promised

    @initialize()
    def begin(self) -> None:
        for path in PATHS:
            self.pushed[path] = self._new_bytes(path)
        self.hub.create_repo(REPO, {path: File(data) for path, data in self.pushed.items()})
        self.loop = self._new_life()
        self.sync()

    def _new_life(self) -> Loop:
        settings = {"idle_timeout": SILENCE, "patience": PATIENCE}
        return Loop(self.hub, self._cache, haste=HASTE, **settings)

    def _new_bytes(self, path: str) -> bytes:
        self.pushes += 1
        return self.pushes.to_bytes(4) + sample(SIZES[path])[4:]

    def teardown(self) -> None:
        self.loop.stop()
        self._undo.close()

    # --- the hub and its weather -------------------------------------------------------

    @rule(path=paths)
    def push(self, path: str) -> None:
        data = self._new_bytes(path)
        self.pushed[path] = data
        self.hub.push(REPO, {path: File(data)})

    @rule()
    def sync(self) -> None:
        for path, data in self.pushed.items():
            self.synced[path] = (*listed(self.hub, REPO, path), data)

    @rule(faults=st.sampled_from([*PASSING.values(), *CORRUPTIONS]))
    def let_a_fault_pass(self, faults: Sequence[Fault]) -> None:
        self.hub.faults.add(*faults)

    @rule(fault=st.sampled_from([fault for fault, _ in LASTING.values()]))
    def let_a_fault_last(self, fault: Fault) -> None:
        self.is_lasting = True
        self.hub.faults.add(fault)

    @rule()
    def take_the_hub_down(self) -> None:
        self.is_lasting = True
        self.hub.down()

    @rule()
    def calm_down(self) -> None:
        self.hub.up()
        self.hub.faults.clear()
        self.is_lasting = False
        self.loop.jump(PATIENCE)

    # --- readers -----------------------------------------------------------------------

    @rule(target=handles, path=paths)
    def open(self, path: str) -> Handle:
        content, source, data = self.synced[path]
        return self.loop.do(self.loop.rig.fetcher.open, content, source), data

    @rule(handle=consumes(handles))
    def close(self, handle: Handle) -> None:
        if self._is_of_this_life(handle):
            self.loop.do(self.loop.rig.fetcher.release, handle[0])

    @rule(handle=handles, place=places, length=lengths)
    def read_on(self, handle: Handle, place: float, length: int) -> None:
        if self._is_of_this_life(handle):
            self._check_read(*handle, place, length)

    @rule(path=paths, place=places, length=lengths, is_new=st.booleans())
    def read(self, path: str, place: float, length: int, is_new: bool) -> None:
        if is_new:
            self.push(path)
            self.sync()
        opened, data = self.open(path)
        try:
            self._check_read(opened, data, place, length)
        finally:
            self.loop.do(self.loop.rig.fetcher.release, opened)

    def _check_read(self, opened: OpenContent, data: bytes, place: float, length: int) -> None:
        start = int(place * (len(data) - 1))
        with self._promised():
            found = self._call(self.loop.rig.read, opened, start, start + length)
            assert found == data[start : start + length]

    @rule(path=paths)
    def prefetch(self, path: str) -> None:
        content, source, data = self.synced[path]
        with self._promised():
            self._call(self.loop.rig.fetcher.complete, content, source)
            opened, _ = self.open(path)
            try:
                assert opened.is_complete
                self._check_read(opened, data, 0.0, len(data))
            finally:
                self.loop.do(self.loop.rig.fetcher.release, opened)

    def _call(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Call it on the loop; while a fault lasts, patience ends with the first trouble."""
        call = self.loop.call_impatiently if self.is_lasting else self.loop.call
        return call(function, *arguments)

    @contextmanager
    def _promised(self) -> Iterator[None]:
        """Errors are the reader's due while the weather is bad, or was when it began."""
        is_fine = not self.is_lasting and not self.hub.faults.waiting
        try:
            yield
        except (FetchFailed, ContentMismatch):
            if is_fine:
                raise

    @rule(path=paths)
    def read_all_once_it_is_calm(self, path: str) -> None:
        self.calm_down()
        self.read(path, 0.0, SIZES[path], is_new=False)

    def _is_of_this_life(self, handle: Handle) -> bool:
        return self.loop.rig.fetcher._open.get(handle[0].content.key) is handle[0]

    # --- the cache ---------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        self.loop.stop()
        self.loop = self._new_life()

    @rule(which=st.integers(0, 10))
    def evict(self, which: int) -> None:
        """Remove a blob, as eviction does or a person who needs the room."""
        found = sorted(self._cache.glob("blobs/sha256/*/*"))
        if found:
            found[which % len(found)].unlink()

    @rule(size=st.integers(1, 12 * MIB))
    def make_room(self, size: int) -> None:
        """Evict what was used longest ago, as far as it is not open."""
        rig = self.loop.rig
        evictor = Evictor(rig.store, rig.fetcher, CacheSettings())
        self.loop.call(evictor.make_room, size)

    @rule()
    def look_at_the_blobs(self) -> None:
        known = {
            content.sha256 or content.git_oid: data for content, _, data in self.synced.values()
        }
        for path in self._cache.glob("blobs/sha256/*/*"):
            if path.name in known:
                assert path.read_bytes() == known[path.name]


def check(examples: int, steps: int, *, derandomize: bool) -> None:
    run_state_machine_as_test(
        BadWeather,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            database=None,
            # A failing sequence is shown as it is: made shorter, it would take half an hour.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_sequence_of_faults_makes_a_wrong_byte() -> None:
    check(25, 40, derandomize=True)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_no_long_sequence_of_faults_makes_a_wrong_byte() -> None:
    check(500, 60, derandomize=False)
