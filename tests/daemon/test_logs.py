"""The log: its levels, its formats, and files that are rotated under it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from hubfs.config import LogFormat, LogLevel, LogSettings
from hubfs.daemon.logs import JsonFormatter, Log


def said_by(settings: LogSettings, file: Path) -> str:
    """What a process of its own logs, with all levels, hubfs's and another's logger."""
    program = f"""
import logging
from pathlib import Path
from hubfs.config import LogLevel, LogSettings
from hubfs.daemon.logs import Log
Log(LogSettings(LogLevel({settings.log_level.value!r})), Path({str(file)!r}))
for name in ("hubfs.x", "other"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)(f"{{name}} {{level}}")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    return file.read_text()


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warning", "error"]),
        (LogLevel.WARNING, ["warning", "error"]),
        (LogLevel.ERROR, ["error"]),
    ],
)
def test_a_level_is_the_least_that_is_logged_and_others_never_go_below_warnings(
    level: LogLevel, shown: list[str], tmp_path: Path
) -> None:
    """Others log addresses with signatures, and headers with tokens."""
    lines = said_by(LogSettings(level), tmp_path / "log").splitlines()
    assert [line.split()[-1] for line in lines if "hubfs.x" in line] == shown
    expected = [each for each in shown if each in {"warning", "error"}]
    assert [line.split()[-1] for line in lines if " other" in line] == expected


def test_json_is_an_object_on_a_line() -> None:
    try:
        int("no\nway")
    except ValueError:
        record = logging.getLogger("hubfs.x").makeRecord(
            "hubfs.x", logging.ERROR, "", 0, "it %s\nfails", ("ü",), sys.exc_info()
        )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"]) == ("error", "hubfs.x")
    assert found["message"] == "it ü\nfails"
    assert found["traceback"].endswith("'no\\nway'")
    assert found["time"].endswith("+00:00")


def test_a_file_may_be_renamed_or_cut_under_the_log(tmp_path: Path) -> None:
    file, logger = tmp_path / "log", logging.getLogger("hubfs.rotated")
    sink = Log(LogSettings(), file)
    handler = sink.handler
    logger.addHandler(handler)
    try:
        logger.warning("first")
        file.rename(tmp_path / "log.1")
        logger.warning("second")
        sink.reopen()
        logger.warning("third")
        with file.open("r+") as opened:
            opened.truncate()
        logger.warning("fourth")
        sink.take(LogSettings(LogLevel.ERROR, None, LogFormat.JSON))
        logger.warning("fifth")
        logger.error("sixth")
    finally:
        logger.removeHandler(handler)
        handler.close()
        handler.stream.close()
    assert [line.split()[-1] for line in (tmp_path / "log.1").read_text().splitlines()] == [
        "first",
        "second",
    ]
    fourth, sixth = file.read_text().splitlines()
    assert fourth.endswith(" fourth")
    assert json.loads(sixth)["message"] == "sixth"
