"""A hub with one model, and a shell beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import FILES, Shell
from tests.localhub import LocalHub


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub(token="hf_test") as hub:
        hub.create_repo("acme/model", FILES)
        yield hub


@pytest.fixture
def shell(hub: LocalHub, tmp_path: Path) -> Shell:
    return Shell(hub, tmp_path)
