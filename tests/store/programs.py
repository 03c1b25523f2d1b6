"""Second processes that own a cache, fill it, and die."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def running(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `program`; it is killed at the end if it still runs."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    """What it says next."""
    output: IO[str] | None = process.stdout
    assert output is not None
    line = output.readline()
    assert line, "the process ended"
    return line.rstrip("\n")
