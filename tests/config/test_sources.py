"""Where a setting's value comes from, and how wrong ones are refused wherever they stand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.config import FetchSettings, Fill, Settings
from hubfs.config.files import ConfigFile, config_files, parse, read
from hubfs.config.resolving import Sources, settings_from, sources_of
from hubfs.config.sources import MASK, combined, from_environment, from_options
from hubfs.config.table import SETTINGS
from hubfs.errors import UsageError

FILE = Path("/somewhere/config.toml")
SOURCES = st.fixed_dictionaries(
    {},
    optional={
        name: st.integers(1, 99) for name in ("command line", "environment", "user", "system")
    },
)


@given(SOURCES)
def test_the_command_line_comes_first_then_the_environment_then_the_user_then_the_system(
    said: dict[str, int],
) -> None:
    def layer(name: str) -> str:
        return f"max_connections = {said[name]}" if name in said else ""

    options = {"max_connections": str(said["command line"]) if "command line" in said else None}
    variables = {"HUBFS_MAX_CONNECTIONS": str(said["environment"])} if "environment" in said else {}
    found = combined(
        [
            from_options(options),
            from_environment(variables),
            parse(layer("user"), Path("/user")),
            parse(layer("system"), Path("/system")),
        ]
    )["max_connections"]
    places = {
        "command line": "--max-connections",
        "environment": "HUBFS_MAX_CONNECTIONS",
        "user": "/user",
        "system": "/system",
    }
    first = next((name for name in places if name in said), None)
    expected = (said[first], places[first]) if first else (16, "default")
    assert (found.value, found.origin) == expected


def test_without_a_word_everything_is_as_it_is_declared() -> None:
    sources = Sources({}, {}, ())
    assert settings_from(sources.combined(), Path("/models")) == Settings(Path("/models"))
    assert {each.origin for each in sources.combined().values()} == {"default"}


def test_values_land_where_they_are_used() -> None:
    lines = (
        'limit_rate = "50M"',
        "metadata_ttl = 2.5",
        "read_timeout = 9",
        'fill = "never"',
        "offline = true",
        'uid = "root"',
        "gid = 12",
        'umask = "027"',
        'log_file = "~/a/../b.log"',
    )
    values = {name: each.value for name, each in parse("\n".join(lines), FILE).items()}
    assert values == {
        "limit_rate": 50 << 20,
        "metadata_ttl": 2.5,
        "read_timeout": 9.0,
        "fill": Fill.NEVER,
        "offline": True,
        "uid": 0,
        "gid": 12,
        "umask": 0o27,
        "log_file": Path.home() / "b.log",
    }


def test_a_process_that_is_started_is_told_what_the_command_line_said(tmp_path: Path) -> None:
    given: dict[str, str | bool | None] = {"cache_dir": "~/x", "limit_rate": "1.5K"}
    given |= {"offline": False, "fill": "always", "http": None}
    sources = sources_of(given, {"HUBFS_HTTP_TOKEN": "s3cret"})
    arguments = sources.arguments()
    assert arguments == [
        f"--cache-dir={Path.home().resolve()}/x",
        "--limit-rate=1536",
        "--no-offline",
        "--fill=always",
    ]
    assert sources.settings().control.token == "s3cret"


@pytest.mark.parametrize(
    ("variables", "offline"),
    [
        ({}, False),
        ({"HF_HUB_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, False),
        ({"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "YES"}, True),
        ({"HUBFS_OFFLINE": "no", "HF_HUB_OFFLINE": "1"}, False),
    ],
)
def test_the_first_variable_that_is_set_counts(variables: dict[str, str], *, offline: bool) -> None:
    assert sources_of({}, variables).settings().offline is offline


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HUBFS_LIMIT_RATE": "fast"}, "HUBFS_LIMIT_RATE: 'fast' is not a size such as 500M"),
        ({"HF_ENDPOINT": "hub"}, "HF_ENDPOINT: not an endpoint: 'hub'"),
        ({"HF_HUB_OFFLINE": "maybe"}, "HF_HUB_OFFLINE: 'maybe' is neither true nor false"),
        ({"HUBFS_HTTP": "8711"}, "HUBFS_HTTP: not an address: '8711'"),
        ({"HUBFS_CACHE_DIR": "~nobody-of-that-name/x"}, "HUBFS_CACHE_DIR: nobody knows which"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        from_environment(variables)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("limit-rate = 1", "there is no setting 'limit-rate'", "did you mean limit_rate"),
        ("colour = 'red'", "there is no setting 'colour'", "hubfs config show"),
        ("limit_rate = 'fast'", "limit_rate: 'fast' is not a size such as 500M", ""),
        ("limit_rate = -5", "limit_rate: '-5' is not a size such as 500M", ""),
        ("max_connections = true", "max_connections: 'true' is not a number from 1 to 256", ""),
        ("metadata_ttl = inf", "metadata_ttl: 'inf' is not a number of seconds", ""),
        ("fill = ['never']", "fill must be one value, not a list", ""),
        ("umask = 22", "umask must be in quotes", 'umask = "22"'),
        ("umask = '8'", "umask: '8' is not a mask such as 022", ""),
        ("uid = 'nobody-of-that-name'", "uid: there is no user 'nobody-of-that-name'", "number"),
        ("gid = -1", "gid: there is no group '-1'", "number"),
        ("log_level = 'loud'", "'loud' is not one of debug, info, warning, error", ""),
        ("[fetch]\nfill = 'never'", "there is no setting 'fetch'", ""),
        ("cache_dir = 'data'", "cache_dir must be an absolute path", "such as /data/hubfs"),
        ("endpoint = 'hub'", "endpoint: not an endpoint: 'hub'", "https://huggingface.co"),
        ("offline", "not TOML", "offline = true"),
        ("fill = " + "[" * 9999, "not TOML", "offline = true"),
    ],
)
def test_what_a_file_may_not_say_is_named_with_the_file(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, FILE)
    assert str(refused.value).startswith(str(FILE))
    assert said in str(refused.value)
    assert hint in refused.value.hint


def test_files_are_looked_for_where_users_and_systems_have_them(tmp_path: Path) -> None:
    system = ConfigFile(Path("/etc/hubfs/config.toml"))
    of_user = ConfigFile(tmp_path / "hubfs/config.toml")
    assert config_files({"XDG_CONFIG_HOME": str(tmp_path)}) == (of_user, system)
    assert config_files({})[0].path == Path.home() / ".config/hubfs/config.toml"
    named = tmp_path.resolve() / "mine.toml"
    assert config_files({"HUBFS_CONFIG": str(named)}) == (ConfigFile(named, is_required=True),)


def test_a_file_that_cannot_be_read_is_named_and_one_that_need_not_be_there_is_not(
    tmp_path: Path,
) -> None:
    assert read(ConfigFile(tmp_path / "absent")) == {}
    with pytest.raises(UsageError, match="No such file"):
        read(ConfigFile(tmp_path / "absent", is_required=True))
    with pytest.raises(UsageError, match="Is a directory"):
        read(ConfigFile(tmp_path))
    (tmp_path / "latin").write_bytes(b"# \xff")
    with pytest.raises(UsageError, match="UTF-8"):
        read(ConfigFile(tmp_path / "latin"))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Within, this process may read what everybody may."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_that_is_for_others_says_nothing_unless_it_was_asked_for(tmp_path: Path) -> None:
    """The system's may hold the secrets of root's daemon, which are no business of others."""
    file = tmp_path / "config.toml"
    file.write_text("offline = true")
    file.chmod(0)
    with as_nobody():
        assert read(ConfigFile(file)) == {}
        with pytest.raises(UsageError, match="Permission denied"):
            read(ConfigFile(file, is_required=True))


def test_secrets_are_no_options_and_are_not_shown() -> None:
    secrets = {"http_token", "webhook", "webhook_secret"}
    assert {name for name, setting in SETTINGS.items() if setting.is_secret} == secrets
    said = from_environment({"HUBFS_HTTP_TOKEN": "s3cret"})
    assert said["http_token"].shown == MASK
    sources = Sources({}, said, ())
    assert "s3cret" not in repr((sources, sources.settings()))


def test_every_default_can_be_written_and_read_back() -> None:
    for setting in SETTINGS.values():
        text = setting.kind.text(setting.default_value)
        assert setting.kind.parse(text) == setting.default_value, setting.name


def test_settings_can_be_made_without_the_table() -> None:
    assert Settings(None).fetch == FetchSettings()
