from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubfs.hub.credentials import Credentials

HUB = "https://hub.example"
URL = f"{HUB}/api/models/acme/tiny"
FIRST = {"authorization": "Bearer hf_first"}
SECOND = {"authorization": "Bearer hf_second"}

_PRINT_HEADERS = (
    "from hubfs.hub.credentials import Credentials;"
    f"print(Credentials('{HUB}').headers_for('{URL}'))"
)


def printed(**environment: str) -> str:
    """What a new process would send: where tokens are is read when Python starts."""
    command = [sys.executable, "-c", _PRINT_HEADERS]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.check_output(command, env=inherited | environment, text=True).strip()


def test_without_a_token_nothing_is_sent(tmp_path: Path) -> None:
    assert printed(HF_TOKEN_PATH=str(tmp_path / "none")) == "{}"


def test_the_token_of_a_login_is_found(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_first\n")
    assert printed(HF_TOKEN_PATH=str(tmp_path / "token")) == str(FIRST)


def test_the_environment_comes_before_a_login(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_first")
    assert printed(HF_TOKEN="hf_second", HF_TOKEN_PATH=str(tmp_path / "token")) == str(SECOND)


def test_a_user_may_forbid_tokens_that_nobody_named() -> None:
    assert printed(HF_TOKEN="hf_first", HF_HUB_DISABLE_IMPLICIT_TOKEN="1") == "{}"


def test_a_token_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert printed(HF_TOKEN_PATH=str(tmp_path)) == "{}"  # a directory


def test_an_identity_provider_that_fails_is_no_reason_to_fail() -> None:
    assert printed(HF_OIDC_RESOURCE="acme") == "{}"


def test_a_token_that_is_given_comes_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_second")
    assert Credentials(HUB, "hf_first").headers_for(URL) == FIRST


def test_a_token_is_looked_for_when_it_is_needed_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount without a network never asks an identity provider."""
    credentials = Credentials(HUB)
    credentials.headers_for("https://cdn.example/x")
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    assert credentials.headers_for(URL) == FIRST
    monkeypatch.setenv("HF_TOKEN", "hf_second")
    assert credentials.headers_for(URL) == FIRST


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example/x",
        "https://hub.example:8443/x",
        "https://cdn.hub.example/x",
        "https://example/x",
        "https://hub.example.evil.example/x",
        "https://hub.example./x",
        "https://hub.example@evil.example/x",
        "https://evil.example/hub.example",
        "/x",
    ],
)
def test_no_other_origin_gets_the_token(url: str) -> None:
    assert Credentials(HUB, "hf_first").headers_for(url) == {}


@pytest.mark.parametrize("url", [HUB, f"{HUB}:443/x", "HTTPS://HUB.EXAMPLE/x?y", f"{HUB}/a/b"])
def test_the_endpoint_s_origin_gets_the_token(url: str) -> None:
    assert Credentials(HUB, "hf_first").headers_for(url) == FIRST


def test_a_token_that_was_refused_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    credentials = Credentials(HUB)
    sent = credentials.headers_for(URL)
    assert not credentials.has_other_than(sent)

    monkeypatch.setenv("HF_TOKEN", "hf_second")
    assert credentials.has_other_than(sent)
    assert credentials.headers_for(URL) == SECOND


def test_all_whose_old_token_was_refused_learn_of_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many requests are refused at once; the first one to ask must not be the only one to know."""
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    credentials = Credentials(HUB)
    sent = credentials.headers_for(URL)
    monkeypatch.setenv("HF_TOKEN", "hf_second")
    assert [credentials.has_other_than(sent) for _ in range(3)] == [True, True, True]


def test_a_first_token_is_news_to_who_sent_none(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials(HUB)
    assert credentials.headers_for(URL) == {}
    assert not credentials.has_other_than({})
    monkeypatch.setenv("HF_TOKEN", "hf_first")
    assert credentials.has_other_than({})


@pytest.mark.parametrize("token", ["hf_\nfirst", "hf_ü", "hf first", "“hf_first”", "hf_\x00", "\t"])
def test_what_no_header_can_hold_is_no_token(token: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert Credentials(HUB, token).headers_for(URL) == {}
    assert token not in caplog.text or not token.strip()


def test_space_around_a_token_does_not_matter() -> None:
    assert Credentials(HUB, " hf_first\r\n").headers_for(URL) == FIRST


def test_a_token_is_not_shown() -> None:
    credentials = Credentials(HUB, "hf_first")
    credentials.headers_for(URL)
    assert repr(credentials) == "<credentials for hub.example>"


def test_a_token_file_comes_before_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_second")
    (tmp_path / "token").write_text("hf_first\n")
    credentials = Credentials(HUB, file=tmp_path / "token")
    assert credentials.headers_for(URL) == FIRST
    credentials.use_file(None)
    assert credentials.headers_for(URL) == SECOND


def test_a_token_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """Written in place, replaced, or behind a symlink that is changed, as secrets of pods are."""
    file, first, second = tmp_path / "token", tmp_path / "1", tmp_path / "2"
    first.write_text("hf_first")
    second.write_text("hf_second")
    credentials = Credentials(HUB, file=file)
    assert credentials.headers_for(URL) == {}
    for target, expected in ((first, FIRST), (second, SECOND)):
        file.unlink(missing_ok=True)
        file.symlink_to(target)
        assert credentials.headers_for(URL) == expected
    second.write_text("hf_first")
    assert credentials.headers_for(URL) == FIRST


def test_a_token_file_that_cannot_be_read_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert Credentials(HUB, file=tmp_path / "absent").headers_for(URL) == {}
    assert f"no token is used: it could not be read from {tmp_path}/absent" in caplog.text
