"""What a running daemon takes of a configuration that has changed, and what it leaves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hubfs.config import LogSettings, Settings
from hubfs.config.resolving import Sources, sources_of
from hubfs.daemon.logs import Log
from hubfs.daemon.reloading import Reloading


class Daemon:
    """One with a file and an option, and what it has taken."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.file.write_text('max_connections = 3\nlimit_rate = "1M"\n')
        self.taken: list[Settings] = []
        sources: Sources = sources_of({"limit_rate": "2M"}, {"HUBFS_CONFIG": str(file)})
        self.reloading = Reloading(sources, sources.combined(), None, Log(LogSettings()))

    def reload(self, text: str) -> None:
        self.file.write_text(text)
        self.reloading.reload(self.taken.append)


@pytest.fixture
def daemon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Daemon:
    found = Daemon(tmp_path / "config.toml")
    caplog.set_level(logging.INFO, logger="hubfs")
    return found


def test_what_can_be_taken_is_taken_and_the_rest_needs_a_remount(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.reload("max_connections = 5\nlimit_rate = '9M'\nidle_timeout = 7\nlog_level = 'info'")
    (settings,) = daemon.taken
    assert settings.fetch.max_connections == 5
    assert settings.fetch.limit_rate == 2 << 20  # the command line still comes first
    assert settings.fetch.idle_timeout == 30
    assert "reloaded: log_level = info, max_connections = 5" in caplog.text
    assert "these settings need a remount: idle_timeout" in caplog.text
    daemon.reload("")
    assert daemon.taken[-1].fetch.max_connections == 16


def test_a_file_that_cannot_be_right_changes_nothing(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.reload("max_connections = 5\nfill = 'sometimes'")
    assert daemon.taken == []
    sentence = f"the settings stay as they were: {daemon.file}: fill: 'sometimes' is not one of"
    (record,) = caplog.records
    assert record.getMessage().startswith(sentence)
