from __future__ import annotations

import base64

import pytest

from hubfs.errors import UsageError
from hubfs.hub.proxies import Proxies, proxy_headers

URL = "https://hub.example/x"


def found(url: str) -> str | None:
    proxy = Proxies().find(url)
    return proxy.geturl() if proxy else None


def test_without_a_word_in_the_environment_there_is_none() -> None:
    assert Proxies().find(URL) is None


def test_each_scheme_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://one.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://two.example:3128")
    assert found("http://hub.example/x") == "http://one.example:3128"
    assert found(URL) == "http://two.example:3128"


def test_one_may_serve_all_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    assert found("http://hub.example/x") == found(URL) == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("exceptions", "is_used"),
    [
        ("*", False),
        ("hub.example", False),
        (".hub.example", False),
        ("example", False),
        ("other.example, hub.example", False),
        ("hub.example:8443", False),
        ("hub.example:443", True),
        ("ub.example", True),
        ("", True),
    ],
)
def test_no_proxy_names_who_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, is_used: bool
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    assert (Proxies().find("https://hub.example:8443/x") is not None) == is_used


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://proxy.example:1080",
        "https://proxy.example",
        "http://",
        "http://proxy.example:x",
        "http://proxy.example:0",
        "http://[::1",
        "://",
        "ftp://proxy.example",
    ],
)
def test_one_that_is_no_use_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy.replace("//", "//user:secret@"))
    with pytest.raises(UsageError) as refused:
        Proxies().find(URL)
    assert "secret" not in str(refused.value)
    assert "http://" in refused.value.hint


def test_credentials_in_its_address_are_for_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://us%40er:pass%3Aword@proxy.example:3128")
    proxy = Proxies().find(URL)
    assert proxy is not None
    pair = base64.b64encode(b"us@er:pass:word").decode()
    assert proxy_headers(proxy) == {"proxy-authorization": f"Basic {pair}"}


def test_a_proxy_without_credentials_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    proxy = Proxies().find(URL)
    assert proxy is not None
    assert proxy_headers(proxy) == {}
