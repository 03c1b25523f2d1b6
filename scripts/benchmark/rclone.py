"""rclone's mount: what one would use for a cached file without hubfs.

Its remote is the source's directory. Where a file once came from makes no
difference to a warm read, which is served from the VFS cache.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmark.mounts import is_mounted, site_in, wait_until
from scripts.benchmark.processes import CommandFailed, dd, environment, kill, run, start
from scripts.benchmark.rows import CannotRun
from scripts.benchmark.sources import Source

# Without the fast fingerprint a local remote is hashed whole at each open.
OPTIONS = ("--vfs-cache-mode", "full", "--vfs-fast-fingerprint", "--read-only")


class Rclone:
    """A mount of the directory that holds `source`, whose VFS cache lasts over remounts."""

    def __init__(self, site: Path, source: Source) -> None:
        self._site, self._source = site, source
        self.directory = site / "models"
        self.directory.mkdir()
        self.path = self.directory / source.path.name

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Within, the file is at the path."""
        remote = f":local:{self._source.path.parent}"
        kept = ("--cache-dir", str(self._site / "cache"), "--config", str(self._site / "none"))
        # Its log would fill a pipe that nobody reads.
        script = 'exec rclone mount "$@" >/dev/null 2>&1'
        command = ("sh", "-c", script, "rclone", *OPTIONS, *kept, remote, str(self.directory))
        process = start(*command, env=environment(HOME=str(self._site)))
        try:
            wait_until(lambda: is_mounted(self.directory), "rclone has mounted")
            yield self.path
        finally:
            with contextlib.suppress(CommandFailed):
                run("umount", self.directory, timeout=20)
            kill(process)


@contextlib.contextmanager
def warm_rclone(scratch: Path, source: Source) -> Iterator[Rclone]:
    """One that has read all of the file before.

    Raises:
        CannotRun: there is no rclone.
    """
    if not shutil.which("rclone"):
        raise CannotRun("rclone is not installed (Debian's package of that name)")
    with site_in(scratch) as site:
        rclone = Rclone(site, source)
        with rclone.mounted() as path:
            dd(path, source.size)
        yield rclone
