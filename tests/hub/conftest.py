from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.localhub import LocalHub
from tests.localhub.fixtures import local_hub, local_hub_tls

__all__ = ["local_hub", "local_hub_tls"]

_INHERITED = (
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that the machine's user has set up plays a part."""
    for name in _INHERITED:
        monkeypatch.delenv(name, raising=False)


class Certificates(NamedTuple):
    """What a server shows, and what a client trusts."""

    server: ssl.SSLContext
    ca_file: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    ca_file = tmp_path_factory.mktemp("certificates") / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Certificates(context, ca_file)


@pytest.fixture
def trusted(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """The certificates, trusted by whatever is made in this test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    return certificates


@pytest.fixture(params=["http", "https"])
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """A Hub without repos, over each of the two schemes."""
    name = {"http": "local_hub", "https": "local_hub_tls"}[request.param]
    made: LocalHub = request.getfixturevalue(name)
    if made.ca_file is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(made.ca_file))
    return made
