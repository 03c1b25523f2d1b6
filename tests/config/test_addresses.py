"""What is taken as an address of a Hub, or to listen at."""

from __future__ import annotations

import pytest

from hubfs.config.addresses import checked_endpoint, checked_webhook, parse_address
from hubfs.errors import UsageError

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8080", "https://hub.example/mirror/", "http://[::1]:8080", HUB + "/"]
)
def test_an_endpoint_is_kept_without_its_last_slash(text: str) -> None:
    assert checked_endpoint(text) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hub.example",
        "ftp://hub.example",
        "file:///etc",
        "https://",
        "https://hub.example:x",
        "https://hub.example:0",
        "https://hub.example:70000",
        "https://hub.example?x",
        HUB + "#x",
        "https://hub.example/a b",
        "https://hub\n.example",
        "https://hüb.example",
        "https://[::1",
        "https://user@hub.example",
        "https://user:secret@hub.example",
        "https://a..b",
        "http://a b",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked_endpoint(text)
    assert refused.value.hint


def test_credentials_in_an_endpoint_are_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        checked_endpoint("https://user:secret@hub.example")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "https://ci.example/told?key=k3y", "http://[::1]:80/"])
def test_a_webhook_is_kept_as_it_is(text: str) -> None:
    assert checked_webhook(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "k3y",
        "ftp://ci.example/k3y",
        "https://user:k3y@ci.example/",
        "https://ci.example:port/k3y",
        "https://[::1/k3y",
        "https://ci.example/k3y and more",
        "https:///k3y",
    ],
)
def test_what_is_no_webhook_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked_webhook(text)
    assert "k3y" not in str(refused.value)
    assert "https://ci.example" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8711", ("127.0.0.1", 8711)),
        ("[::1]:80", ("::1", 80)),
        (":8711", ("127.0.0.1", 8711)),
        ("8711", None),
        ("host:port", None),
        ("host:99999", None),
    ],
)
def test_addresses_are_read(text: str, expected: tuple[str, int] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError):
            parse_address(text)
    else:
        assert parse_address(text) == expected
