"""hubfs as a user starts it: mounted by its command, unmounted by its command, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.benchmark.hub import Hub
from scripts.benchmark.processes import CommandFailed, environment, run, run_to_end
from scripts.benchmark.sources import Source
from scripts.benchmark.usage import family_of

HUBFS = str(Path(sys.executable).with_name("hubfs"))
# Names must not be checked again in the middle of a row: that is traffic of its own.
DEFAULTS = ("--metadata-ttl", "86400")
LONGEST_TO_COMPLETE = 300.0


class Mount:
    """One mountpoint and one cache, both in `site`; mounted as often as a row needs."""

    def __init__(self, site: Path, hub: Hub) -> None:
        self._hub = hub
        self._site = site
        self.directory, self.cache = site / "models", site / "cache"
        self.directory.mkdir()
        (site / "run").mkdir()
        # No token and no registry but our own.
        self._env = environment(
            HF_HOME=str(site / "home"),
            XDG_RUNTIME_DIR=str(site / "run"),
            **hub.client_environment,
        )

    def start(self, *options: str) -> None:
        """Mount; the cache is as it was left."""
        endpoint = ("--endpoint", self._hub.endpoint, "--cache-dir", str(self.cache))
        run_to_end(HUBFS, "mount", self.directory, *endpoint, *DEFAULTS, *options, env=self._env)

    def stop(self) -> None:
        """Unmount and wait until the daemon has ended; by force, if it must be."""
        if not is_mounted(self.directory):
            return
        try:
            run_to_end(HUBFS, "umount", self.directory, env=self._env)
        except CommandFailed:
            self._end_by_force()
            raise

    def remount(self, *options: str) -> None:
        """Mount anew: the kernel knows no page, no name and no inode any more."""
        self.stop()
        self.start(*options)

    def pids(self) -> list[int]:
        """The daemon, and all that it started."""
        return family_of(self.cache)

    def blob_of(self, source: Source) -> Path:
        """Where the cache has that file."""
        return self.cache / "blobs" / "sha256" / source.sha256[:2] / source.sha256

    def wait_for_blob(self, source: Source) -> Path:
        """Return the blob once it is complete and verified.

        Raises:
            CommandFailed: it does not become so.
        """
        deadline = time.monotonic() + LONGEST_TO_COMPLETE
        while not self.blob_of(source).exists():
            if time.monotonic() > deadline:
                raise CommandFailed(f"{source.path.name} was read and never became a blob")
            time.sleep(0.1)
        return self.blob_of(source)

    def last_words(self) -> str:
        """The end of the daemon's log, which is removed with its cache."""
        with contextlib.suppress(OSError):
            if lines := (self.cache / "hubfs.log").read_text().splitlines():
                return f" (hubfs's log: {' | '.join(lines[-2:])})"
        return ""

    def _end_by_force(self) -> None:
        with contextlib.suppress(CommandFailed):
            run(HUBFS, "umount", "--force", self.directory, env=self._env, timeout=20)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        detach(self.directory)


@contextlib.contextmanager
def mounted(scratch: Path, hub: Hub, *options: str) -> Iterator[Mount]:
    """A mount with an empty cache; nothing is left of it afterwards."""
    with site_in(scratch) as site:
        mount = Mount(site, hub)
        try:
            mount.start(*options)
            yield mount
        except CommandFailed as error:
            raise CommandFailed(f"{error}{mount.last_words()}") from error
        finally:
            mount.stop()


@contextlib.contextmanager
def site_in(scratch: Path) -> Iterator[Path]:
    """A directory of its own, removed afterwards with all that it holds."""
    site = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield site
    finally:
        detach(site / "models")
        shutil.rmtree(site, ignore_errors=True)


def is_mounted(directory: Path) -> bool:
    """Whether something is mounted there. Does not touch it: it may hang."""
    wanted = str(directory).replace(" ", "\\040")
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split(" ")[4] == wanted for line in lines)


def detach_below(directory: Path) -> None:
    """Take away every mount in `directory`."""
    prefix = str(directory).replace(" ", "\\040") + "/"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if (found := line.split(" ")[4]).startswith(prefix):
            detach(Path(found.replace("\\040", " ")))


def detach(directory: Path) -> None:
    """Take away whatever is mounted there, in use or not."""
    for command in (("umount", "-l"), ("fusermount3", "-u", "-z")):
        if is_mounted(directory):
            with contextlib.suppress(CommandFailed):
                run(*command, directory, timeout=20)


def has_option(name: str) -> bool:
    """Whether `hubfs mount` knows an option."""
    return name in run(HUBFS, "mount", "--help")


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for something that nobody tells us of.

    Raises:
        CommandFailed: it did not happen.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise CommandFailed(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.05)
