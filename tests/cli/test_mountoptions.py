"""What `-o` says to mount(8), and so in fstab."""

from __future__ import annotations

import pytest

from hubfs.cli.mountoptions import parse
from hubfs.config.kinds import FLAG
from hubfs.config.table import SETTINGS
from hubfs.errors import UsageError


@pytest.mark.parametrize("text", ["{}", "no{}", "no_{}", "{}=true"])
def test_every_setting_is_an_option_with_underscores_or_dashes(text: str) -> None:
    for name, setting in SETTINGS.items():
        for spelling in (name, name.replace("_", "-")):
            if setting.kind is FLAG:
                value = "true" if "=" in text else not text.startswith("no")
                assert parse([text.format(spelling)]) == {name: value}
            elif not setting.is_secret:
                assert parse([f"{spelling}=x"]) == {name: "x"}


def test_what_is_not_for_hubfs_means_nothing() -> None:
    """As an fstab line has it, and as mount(8) adds to it."""
    words = (
        "rw,defaults,noauto,nofail,_netdev,user,users,nosuid,nodev,noexec,relatime,ro,sync,"
        "x-systemd.automount,x-systemd.requires=network.target,X-mount.mkdir,comment=mine"
    )
    assert parse([words, "", ","]) == {}
    assert parse([f"{words},offline", "fill=never"]) == {"offline": True, "fill": "never"}


def test_a_value_may_hold_a_comma_or_an_equals_sign() -> None:
    found = parse(['cache_dir="/a,b",log_file=/x=y,offline'])
    assert found == {"cache_dir": "/a,b", "log_file": "/x=y", "offline": True}


def test_the_last_one_counts() -> None:
    assert parse(["fill=never,fill=always"]) == {"fill": "always"}
    assert parse(["patience=7"]) == {"read_timeout": "7"}


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("cachedir=/x", "-o cachedir: there is no such option", "did you mean cache_dir?"),
        ("allow-othr", "-o allow_othr: there is no such option", "did you mean allow_other?"),
        ("xyzzy", "-o xyzzy: there is no such option", "hubfs mount --help"),
        ("cache_dir", "-o cache_dir: it needs a value", "cache_dir=DIR"),
        ("nocache_dir=/x", "-o nocache_dir: there is no such option", "cache_dir"),
        ("http_token=s3cret", "-o http_token: everybody can see", "HUBFS_HTTP_TOKEN"),
        ("remount,ro", "a mount of hubfs cannot be remounted", "SIGHUP"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse([text])
    assert str(refused.value).startswith(said)
    assert hint in refused.value.hint
    assert "s3cret" not in f"{refused.value} {refused.value.hint}"


def test_sloppy_passes_over_what_there_is_not() -> None:
    assert parse(["xyzzy,fill=never"], sloppy=True) == {"fill": "never"}
