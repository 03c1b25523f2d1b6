from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.localhub import LocalHub
from tests.localhub.fixtures import local_hub, local_hub_tls
from tests.localhub.samples import create_tiny

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


@pytest.fixture
def tiny(local_hub: LocalHub) -> LocalHub:
    """A Hub with acme/tiny."""
    create_tiny(local_hub)
    return local_hub


@pytest.fixture
def tiny_tls(local_hub_tls: LocalHub, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """The same over https, and trusted."""
    create_tiny(local_hub_tls)
    monkeypatch.setenv("SSL_CERT_FILE", str(local_hub_tls.ca_file))
    return local_hub_tls
