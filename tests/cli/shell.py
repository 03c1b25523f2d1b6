"""Commands as a shell runs them, on one cache of one hub."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.localhub import LocalHub
from tests.mount.mounted import begin_hubfs, environment_in, running_hubfs
from tests.mount.waiting import PATIENCE

MIB = 1 << 20
WEIGHTS = random.Random(1).randbytes(3 * MIB)
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model-fp16.safetensors": WEIGHTS,
    "copy/model-fp16.safetensors": WEIGHTS,
    "model.Q4_K_M.gguf": random.Random(2).randbytes(MIB),
}


class Shell:
    """Commands on one cache of one hub."""

    def __init__(self, hub: LocalHub, scratch: Path) -> None:
        self.cache = scratch / "cache"
        self.environment = environment_in(scratch) | {
            "HF_ENDPOINT": hub.endpoint,
            "HUBFS_CACHE_DIR": str(self.cache),
        }

    def begin(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return begin_hubfs(*arguments, environment=self.environment, **options)

    def running(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A command that is killed in the end, if it has not ended."""
        return running_hubfs(*arguments, environment=self.environment)

    def run(self, *arguments: str, code: int = 0, errors: bool = False) -> str:
        """What a command says; if it fails, or with `errors`, on standard error too."""
        done = self.begin(*arguments)
        output, said = done.communicate(timeout=PATIENCE)
        assert done.returncode == code, (done.returncode, output, said)
        return output + said if code or errors else output

    def json(self, *arguments: str, code: int = 0) -> Any:
        done = self.begin(*arguments, "--json")
        output, errors = done.communicate(timeout=PATIENCE)
        assert done.returncode == code, (done.returncode, output, errors)
        return json.loads(output)

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[str]]:
        """An engine as `--background` starts it, that stays until it is killed."""
        reading, writing = os.pipe()
        linger = str(10 * PATIENCE)
        child = self.begin(
            "work", "--linger", linger, "--ready-fd", str(writing), pass_fds=[writing]
        )
        os.close(writing)
        try:
            with os.fdopen(reading) as pipe:
                assert pipe.read() == "ready", child.stderr and child.stderr.read()
            yield child
        finally:
            child.kill()
            child.communicate()


def left_behind(shell: Shell) -> list[Path]:
    """What says that somebody owns the cache."""
    runtime = Path(shell.environment["XDG_RUNTIME_DIR"])
    sockets = [*runtime.rglob("*.sock"), *shell.cache.glob("*.sock")]
    return sockets + [path for path in shell.cache.glob("lock") if path.read_text()]
