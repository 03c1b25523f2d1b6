import pytest

from tests.localhub import LocalHub
from tests.localhub.fixtures import local_hub, local_hub_tls
from tests.localhub.samples import create_tiny

__all__ = ["local_hub", "local_hub_tls"]


@pytest.fixture
def hub(local_hub: LocalHub) -> LocalHub:
    create_tiny(local_hub)
    return local_hub


@pytest.fixture(params=["http", "https"])
def either_hub(request: pytest.FixtureRequest) -> LocalHub:
    """The same repo over each of the two schemes."""
    name = {"http": "local_hub", "https": "local_hub_tls"}[request.param]
    hub: LocalHub = request.getfixturevalue(name)
    create_tiny(hub)
    return hub
