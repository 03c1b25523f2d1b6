from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.control import rig
from tests.localhub import LocalHub


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    """A Hub without repos; `hf_test` opens everything."""
    with LocalHub(token="hf_test") as hub:
        yield hub


@pytest.fixture(scope="session", autouse=True)
def _runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sockets of this run, where no one else's are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        yield


@pytest.fixture(scope="module")
def api(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.Api]:
    """An engine of that Hub, shared by the tests of a module: each brings repos of its own."""
    with rig.api(hub, tmp_path_factory.mktemp("control")) as api:
        yield api
