"""Fixtures for other folders: `pytest_plugins = ["tests.localhub.fixtures"]`."""

from collections.abc import Iterator

import pytest

from tests.localhub import LocalHub


@pytest.fixture
def local_hub() -> Iterator[LocalHub]:
    """A Hub without repos; the token `hf_test` opens everything."""
    with LocalHub(token="hf_test") as hub:
        yield hub


@pytest.fixture
def local_hub_tls() -> Iterator[LocalHub]:
    """The same over https; clients must trust `ca_file`."""
    with LocalHub(tls=True, token="hf_test") as hub:
        yield hub
