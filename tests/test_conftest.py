"""The rules for every test run, tried on runs of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A run of pytest under the same rules, and as yet without tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini("[pytest]\nmarkers = nightly\n")
    return pytester


def run(inner: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return inner.runpytest_subprocess("-p", "tests.conftest", "-p", "no:cacheprovider", *arguments)


SAMPLE = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no device")
def test_skips():
    pass

@pytest.mark.xfail
def test_is_known_to_fail():
    assert False

@pytest.mark.nightly
def test_takes_long():
    pass
"""


def test_in_ci_whatever_skips_fails_the_run(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    absent = "import pytest\npytest.importorskip('no_such_module')\n"
    inner.makepyfile(test_absent=absent, test_sample=SAMPLE)
    done = run(inner)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    text = "skipped, which in CI counts as failed: test_absent.py, test_sample.py::test_skips"
    done.stdout.fnmatch_lines([text])


def test_elsewhere_a_skipped_test_is_only_told_of_and_a_long_one_left_out(
    inner: pytest.Pytester,
) -> None:
    inner.makepyfile(SAMPLE)
    done = run(inner)
    assert done.ret == pytest.ExitCode.OK
    done.assert_outcomes(passed=1, skipped=1, xfailed=1, deselected=1)


def test_long_tests_run_when_they_are_asked_for(inner: pytest.Pytester) -> None:
    inner.makepyfile(SAMPLE)
    run(inner, "-m", "nightly").assert_outcomes(passed=1, deselected=3)


FORGETFUL = """
import subprocess, sys
from pathlib import Path

def test_forgets_its_daemon():
    program = "import signal; signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", program, "hubfs", "mount", "/models"])
    Path("pid").write_text(str(child.pid))
    child.returncode = 0

def test_forgets_its_mount(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
"""


def test_what_is_left_behind_fails_the_run_and_is_removed(inner: pytest.Pytester) -> None:
    if os.getuid():
        pytest.skip("only root may mount")
    inner.makepyfile(FORGETFUL)
    done = run(inner)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.assert_outcomes(passed=2)
    begin = "left behind by a test, and removed: "
    done.stdout.fnmatch_lines([f"{begin}*hubfs mount /models", f"{begin}the mount at *forgets*"])
    assert str(inner.path) not in Path("/proc/self/mountinfo").read_text()
    status = Path(f"/proc/{(inner.path / 'pid').read_text()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()
