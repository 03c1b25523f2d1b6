"""A Hub mounted by the real commands; nothing of it outlives its `with`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hubfs.fuse import kernel
from hubfs.fuse.mountpoints import unmount
from tests.localhub import LocalHub
from tests.mount.waiting import PATIENCE

HUBFS = str(Path(sys.executable).with_name("hubfs"))
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "HUBFS_TEST_RUN")
SIGNS_OF_A_BUG = (
    "Traceback (most recent call last)",
    "a bug in ",
    "requests of the kernel are stuck",
)
# Branches are checked again, and reads given up, only where a test asks for it.
OPTIONS = ("--metadata-ttl", "1000000", "--read-timeout", "60", "--verbose")


class Mounted:
    """One hub, one cache, one mountpoint. `mounted / "org/name"` is a path below it.

    `options` are those of `hubfs mount`, `environment` what the daemon sees of
    this machine beside a home of its own.
    """

    def __init__(
        self,
        hub: LocalHub,
        scratch: Path,
        *options: str,
        cache: Path | None = None,
        **environment: str,
    ) -> None:
        self.hub = hub
        self.root = scratch / "models"
        self.cache = cache or scratch / "cache"
        self.environment = environment_in(scratch) | environment
        self._options = (*OPTIONS, *options)
        self._process: int | None = None

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True)
        try:
            self.mount()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        troubles = self.stop()
        if kind is None:
            assert not troubles, troubles

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    # --- what a user does --------------------------------------------------------------

    def hubfs(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run_hubfs(*arguments, environment=self.environment)

    @contextlib.contextmanager
    def begin(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command that is killed in the end, if it has not ended."""
        with running_hubfs(*arguments, environment=self.environment) as child:
            yield child

    def mount_command(self, *options: str) -> list[str]:
        """The command that mounts with these options beside the usual ones."""
        places = [str(self.root), "--cache-dir", str(self.cache), "--endpoint", self.hub.endpoint]
        return ["mount", *places, *self._options, *options]

    def mount(self, *options: str) -> None:
        """Mount; the daemon is there when this returns."""
        done = self.hubfs(*self.mount_command(*options))
        assert done.returncode == 0, done.stderr
        self.adopt()

    def adopt(self) -> None:
        """Look after the daemon that a command has just started."""
        self._process = os.pidfd_open(self.pid)

    def umount(self, *options: str) -> None:
        """Unmount by the command; the daemon has ended when this returns."""
        done = self.hubfs("umount", self.root, *options)
        assert done.returncode == 0, done.stderr
        self._forget()

    def remount(self, *options: str) -> None:
        """End the daemon and begin another on the same cache; the kernel's pages are gone too."""
        self.terminate()
        self.mount(*options)

    # --- what befalls a daemon ---------------------------------------------------------

    def terminate(self) -> None:
        """SIGTERM, and wait for the end."""
        assert self.signal(signal.SIGTERM), "the daemon does not end"

    def kill(self) -> None:
        """SIGKILL: a crash. The mountpoint stays, dead."""
        assert self.signal(signal.SIGKILL), "the daemon does not end"

    def signal(self, number: signal.Signals, seconds: float = PATIENCE) -> bool:
        """Send a signal; return whether the daemon has ended within so many seconds."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)
        return self.wait_for_end(seconds)

    def wait_for_end(self, seconds: float = PATIENCE) -> bool:
        """Wait for the daemon's end; return whether it came."""
        assert self._process is not None
        if not select.select([self._process], [], [], seconds)[0]:
            return False
        self._forget()
        return True

    def stop(self) -> list[str]:
        """End whatever there is; return what went wrong with that or before."""
        troubles = []
        if self._process is not None and not self.signal(signal.SIGTERM):
            troubles.append("the daemon had to be killed")
            self.signal(signal.SIGKILL)
        while kernel.find_mount(self.root) is not None:
            unmount(self.root, lazy=True)
        return troubles + [sign for sign in SIGNS_OF_A_BUG if sign in self.log]

    def _forget(self) -> None:
        if self._process is not None:
            os.close(self._process)
            self._process = None

    # --- what is known of it -----------------------------------------------------------

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        (file,) = Path(self.environment["XDG_RUNTIME_DIR"]).glob("hubfs/*.json")
        return int(json.loads(file.read_text())["pid"])

    @property
    def is_mounted(self) -> bool:
        """Whether the kernel has a mount there, be it dead."""
        return kernel.find_mount(self.root) is not None

    @property
    def log(self) -> str:
        """What the daemons have written."""
        path = self.cache / "hubfs.log"
        return path.read_text() if path.exists() else ""

    @property
    def blobs(self) -> list[Path]:
        """The complete blobs on disk."""
        return sorted(self.cache.glob("blobs/sha256/*/*"))


def environment_in(scratch: Path) -> dict[str, str]:
    """An environment without this machine's tokens, proxies and settings; its home is new."""
    home, runtime = scratch / "home", scratch / "run"
    home.mkdir(parents=True, exist_ok=True)
    runtime.mkdir(mode=0o700, exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}


def begin_hubfs(
    *arguments: str, environment: dict[str, str], **options: Any
) -> subprocess.Popen[str]:
    """Begin a `hubfs`."""
    return subprocess.Popen(
        [HUBFS, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextlib.contextmanager
def running_hubfs(*arguments: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """One that is killed in the end, if it has not ended."""
    with begin_hubfs(*arguments, environment=environment) as child:
        try:
            yield child
        finally:
            child.kill()


def run_hubfs(
    *arguments: str | Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `hubfs` to its end."""
    return subprocess.run(
        [HUBFS, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
