"""Mounted hubs for tests: one of the test's own, or one shared by tests with repos of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.localhub import LocalHub
from tests.mount.mounted import Mounted

TOKEN = "hf_test"
Mount = Callable[..., Mounted]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what mounts, and skip it, aloud, where nothing can be mounted."""
    reason = "there is no /dev/fuse that may be opened"
    can_mount = os.access("/dev/fuse", os.R_OK | os.W_OK)
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.mount)
            # By a signal: a thread would end the process, and with it the cleaning up.
            item.add_marker(pytest.mark.timeout(180, method="signal"))
            item.add_marker(pytest.mark.skipif(not can_mount, reason=reason))


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A Hub without repos, for this test alone; `hf_test` opens everything."""
    with LocalHub(token=TOKEN) as hub:
        yield hub


@pytest.fixture
def mount(hub: LocalHub, tmp_path: Path) -> Iterator[Mount]:
    """Mount the test's hub, or another; options as on the command line."""
    with ExitStack() as stack:
        numbers = iter(range(1000))

        def mounted(*options: str, hub: LocalHub = hub, **others: Any) -> Mounted:
            scratch = tmp_path / f"mount{next(numbers)}"
            return stack.enter_context(Mounted(hub, scratch, *options, **others))

        yield mounted


@pytest.fixture(scope="session", params=["auto", "off"], ids=["passed through", "by the daemon"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mounted]:
    """A mounted Hub that always answers; each test brings repos of its own.

    There are two ways for bytes to the kernel, and what a user sees must not differ.
    """
    scratch = tmp_path_factory.mktemp("shared")
    with (
        LocalHub(token=TOKEN) as hub,
        Mounted(hub, scratch, "--passthrough", request.param, HF_TOKEN=TOKEN) as mounted,
    ):
        yield mounted
