"""Programs that a benchmark runs: started apart, ended whatever happens, never waited for in vain.

Every look at a mount is a program's, so that a mount that hangs cannot hang the benchmark.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.benchmark.rows import NotVerified

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 600.0
_COPIED = re.compile(r"^(\d+) bytes.* copied, ([\d.e+-]+) s", re.MULTILINE)


class CommandFailed(Exception):
    """A program said no, or nothing for too long."""


def environment(**more: str) -> dict[str, str]:
    """This environment without what would reach a real Hub, a token above all, and `more`."""
    own = ("HF_", "HUBFS_", "HUGGING", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def run(
    *command: str | Path, env: Mapping[str, str] | None = None, timeout: float = LONGEST
) -> str:
    """Run a program to its end and return what it printed; it is killed if we are interrupted.

    Raises:
        CommandFailed: it exited with an error, or took too long.
    """
    process = start(*command, env=env)
    try:
        said, complaint = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        raise CommandFailed(f"{_name(command)}: nothing for {timeout:.0f} s") from None
    except BaseException:
        kill(process)
        raise
    if process.returncode:
        reason = complaint.strip() or said.strip() or f"exit code {process.returncode}"
        raise CommandFailed(f"{_name(command)}: {reason}")
    return str(said)


def run_to_end(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must not be broken off in the middle, not even by Ctrl-C.

    Half a `hubfs mount` is a mount that appears after everything was cleaned up.

    Raises:
        CommandFailed: it exited with an error.
    """
    with start(*command, env=env) as process:  # waits, however the block ends
        said, complaint = process.communicate()
    if process.returncode:
        raise CommandFailed(f"{_name(command)}: {complaint.strip() or said.strip()}")
    return said


def start(*command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a program in a session of its own, where no Ctrl-C of ours reaches it."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End a program and all that it started; do not wait long, it may hang in a dead mount."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)


def _name(command: tuple[str | Path, ...]) -> str:
    words = [str(word) for word in command if str(word) != sys.executable]
    return " ".join(words)[:120]


def ask(
    module: str,
    *arguments: object,
    env: Mapping[str, str] | None = None,
    timeout: float = LONGEST,
) -> dict[str, Any]:
    """Run one of our reading programs (readers.py, loaders.py) and return what it found.

    Raises:
        CommandFailed: as `run`.
    """
    # Without -P the directory it is started in would come before the standard library.
    command = [sys.executable, "-P", "-m", f"scripts.benchmark.{module}", *map(str, arguments)]
    env = {**(env or environment()), "PYTHONPATH": str(ROOT)}
    answer: dict[str, Any] = json.loads(run(*command, env=env, timeout=timeout))
    return answer


def dd(path: Path, size: int) -> float:
    """Read a file to /dev/null as `dd bs=1M` does; return the seconds that dd took.

    Raises:
        NotVerified: it read fewer or more bytes than `size`.
        CommandFailed: it failed.
    """
    said = run("sh", "-c", 'exec dd if="$0" of=/dev/null bs=1M 2>&1', path)
    found = _COPIED.search(said)
    if not found or int(found[1]) != size:
        raise NotVerified(f"dd of {path} read something else than {size} bytes: {said.strip()}")
    return float(found[2])
