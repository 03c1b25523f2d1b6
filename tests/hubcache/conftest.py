"""Mounted hubs whose `.hub` is the cache of programs that know nothing of hubfs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hubcache.clients import OURS, Client
from tests.localhub import LocalHub
from tests.mount.conftest import TOKEN, hub, mount
from tests.mount.mounted import Mounted

__all__ = ["hub", "mount"]

NewClient = Callable[..., Client]


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


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mounted Hub that always answers; each test brings repos of its own."""
    scratch = tmp_path_factory.mktemp("hubcache")
    with LocalHub(token=TOKEN) as hub, Mounted(hub, scratch, HF_TOKEN=TOKEN) as mounted:
        yield mounted


@pytest.fixture
def client_of(tmp_path: Path) -> NewClient:
    """Programs of a user who has never run any."""

    def client(mounted: Mounted, version: str = OURS) -> Client:
        return Client(mounted, tmp_path / "user", version)

    return client


@pytest.fixture
def client(shared: Mounted, client_of: NewClient) -> Client:
    """Programs on the shared mount."""
    return client_of(shared)
