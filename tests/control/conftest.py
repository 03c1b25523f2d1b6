from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control import rig
from tests.localhub import LocalHub


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    """A Hub without repos; `hf_test` opens everything."""
    with LocalHub(token="hf_test") as hub:
        yield hub


@pytest.fixture(scope="module")
def api(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[rig.Api]:
    """An engine of that Hub, shared by the tests of a module: each brings repos of its own."""
    with pytest.MonkeyPatch.context() as patch:
        scratch: Path = tmp_path_factory.mktemp("control")
        patch.setenv("XDG_RUNTIME_DIR", str(scratch))
        with rig.api(hub, scratch) as api:
            yield api
