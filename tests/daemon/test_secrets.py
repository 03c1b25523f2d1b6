"""Which files show secrets that a daemon uses to others than their owner."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from hubfs.config.resolving import sources_of
from hubfs.daemon.secrets import exposed

MODES = ((0o644, True), (0o640, True), (0o600, False), (0o400, False))


@pytest.fixture(autouse=True)
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where huggingface_hub keeps a token; nobody has logged in yet."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "login"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    return tmp_path / "login"


def shown(
    given: dict[str, str | None] | None = None, environment: dict[str, str] | None = None
) -> list[Path]:
    environment = environment or {}
    return exposed(sources_of(given or {}, environment).combined(), environment)


def test_a_file_with_secret_settings_is_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    environment = {"HUBFS_CONFIG": str(file), "HUBFS_WEBHOOK": "http://x/"}
    for text, mode, is_exposed in (
        ("http_token = 's3cret'", 0o640, True),
        ("http_token = 's3cret'", 0o600, False),
        ("offline = true", 0o644, False),
    ):
        file.write_text(text)
        file.chmod(mode)
        assert shown(environment=environment) == [file] * is_exposed


def test_a_file_with_a_token_is_for_its_owner_too(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hf_s3cret")
    for mode, is_exposed in MODES:
        token.chmod(mode)
        assert shown({"token_file": str(token)}) == [token] * is_exposed
    token.unlink()
    assert not shown({"token_file": str(token)})


def test_so_is_the_login_where_the_token_is_taken_from_it(login: Path, tmp_path: Path) -> None:
    login.write_text("hf_s3cret")
    for mode, is_exposed in MODES:
        login.chmod(mode)
        assert shown() == [login] * is_exposed
    login.chmod(0o644)
    assert not shown(environment={"HF_TOKEN": "hf_other"})
    assert not shown({"token_file": str(tmp_path / "other")})


def test_a_login_that_is_the_token_file_too_is_told_once(login: Path) -> None:
    login.write_text("hf_s3cret")
    login.chmod(0o644)
    assert shown({"token_file": str(login)}) == [login]
