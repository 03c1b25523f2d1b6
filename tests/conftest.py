"""What holds for every test run: skips count in CI, nightly tests are asked for, nothing stays."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from hubfs.daemon.registry import wait_for_exit
from hubfs.errors import MountFailed
from hubfs.fuse import kernel
from hubfs.fuse.mountpoints import unmount

pytest_plugins = ["pytester", "tests.localhub.fixtures"]

# How long an example takes is the machine's business, not a failure.
hypothesis.settings.register_profile("hubfs", deadline=None)
hypothesis.settings.load_profile("hubfs")

RUN = "HUBFS_TEST_RUN"
"""Set to a value of this run's own in the environment of all that it starts."""


def pytest_configure(config: pytest.Config) -> None:
    """Let each rule watch the run."""
    config.pluginmanager.register(NothingStays(config), "hubfs-nothing-stays")
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        config.pluginmanager.register(SkipsFail(), "hubfs-skips-fail")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave nightly tests out unless -m names them."""
    if "nightly" in config.option.markexpr:
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly:
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]


class SkipsFail:
    """In CI everything is there that a test may need: who skips has found something missing."""

    def __init__(self) -> None:
        self._skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._skipped and session.exitstatus in {pytest.ExitCode.OK, 5}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._skipped:
            text = f"skipped, which in CI counts as failed: {', '.join(self._skipped)}"
            terminalreporter.write_line(text, red=True)


class NothingStays:
    """No mount and no daemon that the run started may outlive it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._left: list[str] = []
        if not is_worker(config):  # those belong to the run that started them
            # A run within a run watches over its own.
            os.environ[RUN] = uuid.uuid4().hex

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if is_worker(self._config):
            return
        self._left = [*_end_daemons(os.environ[RUN]), *_take_mounts_away(_scratch(self._config))]
        if self._left:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for each in self._left:
            terminalreporter.write_line(f"left behind by a test, and removed: {each}", red=True)


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of several processes that share the tests of a run."""
    return hasattr(config, "workerinput")


def _scratch(config: pytest.Config) -> Path:
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    return factory.getbasetemp()


def _end_daemons(run: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended, or is another user's
        if f"{RUN}={run}".encode() in environment and is_daemon(command):
            os.kill(int(process.name), signal.SIGKILL)
            wait_for_exit(int(process.name), 10)
            yield " ".join(command).strip()


def is_daemon(command: list[str]) -> bool:
    """Whether a process was started as one of the commands of hubfs that stay."""
    is_hubfs = any(Path(word).name == "hubfs" for word in command)
    return is_hubfs and not {"mount", "work"}.isdisjoint(command)


def _take_mounts_away(scratch: Path) -> Iterator[str]:
    for each in kernel.mounts():
        if Path(each.mountpoint).is_relative_to(scratch):
            try:
                unmount(Path(each.mountpoint), lazy=True)
            except MountFailed as error:
                yield f"the mount at {each.mountpoint}, which stays: {error}"
            else:
                yield f"the mount at {each.mountpoint}"
