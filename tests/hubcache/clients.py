"""Programs that know nothing of hubfs but where their cache is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.mount.mounted import Mounted, environment_in
from tests.mount.waiting import PATIENCE

ROOT: Final = Path(__file__).parents[2]
WEIGHTS: Final = ROOT / ".weights" / "all-minilm-l6-v2"

OURS: Final = "2"
"""The version of huggingface_hub that is in this environment."""
OTHERS: Final = {
    "1.33.0": "04e434b06e100eddbce9a6e817d72693a7884b10a79bd67ab48080d5c07eb899",
    "0.36.2": "48f0c8eac16145dfce371e9d2d7772854a4f591bcb56c9cf548accf531d54270",
}
"""Wheels of other versions: the last of the major version before, and the last before that."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave, or the classes of the error that it raised."""

    value: Any
    errors: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The value of a call that gave a path."""
        assert not self.errors, (self.errors, self.value)
        return Path(self.value)


class Client:
    """One user's programs; `home` is theirs, the cache is the mount's `.hub`, or a folder."""

    def __init__(
        self, mounted: Mounted, home: Path, version: str = OURS, cache: Path | None = None
    ) -> None:
        self.mounted = mounted
        self.complaints = ""
        self.home = home
        packages = [] if version == OURS else [str(installed(version))]
        self._environment = environment_in(home) | {
            "HF_HUB_CACHE": str(cache or mounted / ".hub"),
            "HF_ENDPOINT": mounted.hub.endpoint,
            "HF_TOKEN": "hf_test",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": os.pathsep.join([*packages, str(ROOT)]),
        }

    def ask(self, *calls: str, offline: bool = False) -> list[Outcome]:
        """Let one process of the Hub's client make these calls."""
        python = [sys.executable, "-m", "tests.hubcache.calls"]
        outcomes = json.loads(self.run(*python, *calls, offline=offline))
        return [Outcome(value, tuple(errors)) for value, errors in outcomes]

    def python(self, program: str, *, offline: bool = False) -> Any:
        """Run a program, and return the JSON that it prints at the end."""
        printed = self.run(sys.executable, "-c", program, offline=offline)
        return json.loads(printed.splitlines()[-1])

    def run(self, *command: str | Path, offline: bool = False) -> str:
        """Run a command to its good end; what it prints is returned, complaints are kept."""
        done = subprocess.run(
            command,
            env=self._environment | {"HF_HUB_OFFLINE": str(int(offline))},
            cwd=self._environment["HOME"],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,  # of which importing libraries may take half
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.complaints = done.stderr
        return done.stdout


def installed(version: str) -> Path:
    """Where a wheel of huggingface_hub is unpacked, once per machine, outside the checkout."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hubfs-dev" / "huggingface_hub" / version
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _install(version, folder)
    return folder


def _install(version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(f"huggingface_hub=={version} --hash=sha256:{OTHERS[version]}\n")
        target = Path(scratch) / "packages"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command = [*pip, "--target", str(target), "--requirement", str(wanted)]
        subprocess.run(command, check=True, capture_output=True)
        try:
            target.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(target)
