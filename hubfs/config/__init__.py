"""Every setting there is, declared once: its kind, default, help, and how it may be given.

What a daemon or a command works with is one immutable value of these. Options,
variables, configuration files and `hubfs config show` follow from it (`table`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from hubfs.config.amounts import Amount
from hubfs.config.declaring import declared
from hubfs.config.kinds import (
    AMOUNT,
    DIRECTORY,
    ENDPOINT,
    FILE,
    FLAG,
    GROUP,
    LISTENING,
    PACE,
    SIZE,
    TEXT,
    UMASK,
    USER,
    WEBHOOK,
    choice,
    count,
    seconds,
)
from hubfs.config.places import default_cache_dir

DEFAULT_ENDPOINT = "https://huggingface.co"


class Passthrough(Enum):
    """Whether the kernel reads complete blobs by itself."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Fill(Enum):
    """When the rest of a file is fetched behind a reader of a part."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class LogLevel(Enum):
    """The least that is worth a line in the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(Enum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How contents are fetched. Times in seconds, rates in bytes per second."""

    fill: Fill = declared(
        choice(Fill),
        Fill.AUTO,
        "When to fetch the rest of a file that is read in part; auto: after a quarter of it, "
        "or 64 MiB in long runs, and the files that are likely to be read next.",
        is_reloaded=True,
    )
    max_connections: int = declared(
        count(1, 256), 16, "Connections for contents, over all files.", is_reloaded=True
    )
    limit_rate: int = declared(
        SIZE,
        0,
        "Bytes per second for contents, such as 50M.",
        shown_default="no limit",
        is_reloaded=True,
    )
    patience: float = declared(
        seconds(1),
        600.0,
        "Seconds for which a read goes on trying while nothing arrives; then it fails.",
        name="read_timeout",
        spellings=("--patience",),
        is_reloaded=True,
    )
    idle_timeout: float = declared(
        seconds(1),
        30.0,
        "Seconds of silence after which a connection is given up for another.",
    )


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who the tree seems to belong to, and who may read it. The kernel asks for no more."""

    uid: int | None = declared(
        USER,
        None,
        "Who files and directories belong to, by name or number.",
        shown_default="who mounts",
    )
    gid: int | None = declared(
        GROUP,
        None,
        "The group that they belong to, by name or number.",
        shown_default="that of who mounts",
    )
    umask: int = declared(UMASK, 0, "What is taken away from modes 0444 and 0555, such as 027.")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What a daemon writes of what it does, where, and how."""

    log_level: LogLevel = declared(
        choice(LogLevel),
        LogLevel.WARNING,
        "What is logged; info: what is fetched and why, as with -v.",
        is_reloaded=True,
    )
    log_file: Path | None = declared(
        FILE,
        None,
        "Where it is logged, with -f too.",
        shown_default="hubfs.log in the cache; with -f, standard error",
    )
    log_format: LogFormat = declared(
        choice(LogFormat),
        LogFormat.TEXT,
        "Lines for people, or JSON objects for programs.",
        is_reloaded=True,
    )


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Who else may control the daemon: whom `http` (HOST:PORT) lets in, and who is told of jobs."""

    http: str = declared(
        LISTENING,
        "",
        "Serve the control API by TCP too; beyond loopback http_token is asked for.",
        shown_default="not served",
    )
    token: str = declared(
        TEXT, "", "What the control API asks for by TCP.", name="http_token", is_secret=True
    )
    webhook: str = declared(WEBHOOK, "", "Who is told of every job that ends.", is_secret=True)
    webhook_secret: str = declared(TEXT, "", "What signs the messages to webhooks.", is_secret=True)


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How much of the disk the cache may take, and how it is looked after. Ages in seconds.

    Nobody is served by a disk that is full to its last byte: other programs fail
    on it. A tiny disk is of use all the same.
    """

    size: Amount = declared(
        AMOUNT,
        Amount(),
        "The most that the cache may take on disk, such as 500G or 80%; what was used longest "
        "ago is deleted for what is new.",
        name="cache_size",
        shown_default="none: all but min_free",
        is_reloaded=True,
    )
    min_free: Amount = declared(
        AMOUNT,
        Amount(1 << 30, 0.05),
        "What the cache leaves free on its disk, such as 20G or 10%.",
        shown_default="1G, at most 5% of the disk",
        is_reloaded=True,
    )
    partial_age: float = declared(
        seconds(0),
        30 * 86400.0,
        "Seconds after which a file that is here in part, and that nobody used, is deleted.",
        shown_default="30 days",
        is_reloaded=True,
    )
    scrub: int | None = declared(
        PACE,
        None,
        "Bytes per second, such as 20M, at which complete files are hashed again behind "
        "everything else, once a month; auto: as slowly as a month allows.",
        is_reloaded=True,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Times in seconds. Without a mountpoint, an engine works unseen."""

    mountpoint: Path | None
    cache_dir: Path = declared(
        DIRECTORY,
        default_cache_dir,
        "Where bytes and metadata are kept.",
        shown_default="$XDG_CACHE_HOME/hubfs or ~/.cache/hubfs",
        is_common=True,
    )
    endpoint: str = declared(
        ENDPOINT,
        DEFAULT_ENDPOINT,
        "The Hub, or a server that speaks its API.",
        variables=("HF_ENDPOINT",),
        is_common=True,
    )
    offline: bool = declared(
        FLAG,
        False,  # noqa: FBT003 - the default
        "Make no request at all.",
        variables=("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
        is_common=True,
    )
    metadata_ttl: float = declared(
        seconds(0),
        60.0,
        "Seconds after which a branch is checked again, in the background.",
        is_reloaded=True,
    )
    allow_other: bool = declared(
        FLAG,
        False,  # noqa: FBT003 - the default
        "Let other users see the mount (others than root need user_allow_other in /etc/fuse.conf).",
    )
    passthrough: Passthrough = declared(
        choice(Passthrough),
        Passthrough.AUTO,
        "Let the kernel read complete files by itself; needs root and Linux 6.9. "
        "With on, fail where it cannot be had.",
    )
    token_file: Path | None = declared(
        FILE,
        None,
        "A file that holds the token; it is read again when it changes.",
        shown_default="where huggingface_hub finds it",
        names_secret=True,
        is_reloaded=True,
    )
    ownership: Ownership = field(default_factory=Ownership)
    log: LogSettings = field(default_factory=LogSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
