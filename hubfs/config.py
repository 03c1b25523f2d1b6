"""Every setting there is, with its default, as one immutable value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How contents are fetched. Times in seconds, rates in bytes per second."""

    fill: Fill = Fill.AUTO
    max_connections: int = 16
    limit_rate: int = 0
    patience: float = 600.0
    idle_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Who else may control the daemon: whom `http` (HOST:PORT) lets in, and who is told of jobs."""

    http: str = ""
    token: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Times in seconds. Without a mountpoint, an engine works unseen."""

    mountpoint: Path | None
    cache_dir: Path
    endpoint: str = DEFAULT_ENDPOINT
    offline: bool = False
    metadata_ttl: float = 60.0
    allow_other: bool = False
    passthrough: Passthrough = Passthrough.AUTO
    fetch: FetchSettings = field(default_factory=FetchSettings)
    control: ControlSettings = field(default_factory=ControlSettings)


def runtime_dir() -> Path:
    """`$XDG_RUNTIME_DIR/hubfs`; without it `/run/hubfs` for root, `/tmp/hubfs-UID` for others."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and Path(given).is_dir():
        return Path(given) / "hubfs"
    return Path("/run/hubfs") if os.getuid() == 0 else Path(f"/tmp/hubfs-{os.getuid()}")  # noqa: S108


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/hubfs`, or `~/.cache/hubfs`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hubfs"


def is_offline_by_environment() -> bool:
    """Whether the variables that huggingface_hub and transformers obey forbid requests."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in names)
