"""mount(8), fstab and umount(8), which know hubfs by its helper in /sbin."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfs.daemon.registry import wait_for_exit
from tests.localhub import LocalHub
from tests.mount.mounted import HUBFS, Mounted
from tests.mount.waiting import PATIENCE

SBIN = Path("/sbin")
HELPERS = ("mount.hubfs", "mount.fuse.hubfs")


@pytest.fixture
def helpers() -> Iterator[None]:
    """The helpers where mount(8) looks for them."""
    if os.getuid():
        pytest.skip("only root may link them")
    made = [SBIN / name for name in HELPERS if not (SBIN / name).is_symlink()]
    for link in made:
        link.symlink_to(Path(HUBFS).with_name(link.name))
    try:
        yield
    finally:
        for link in made:
            link.unlink()


@pytest.fixture
def unmounted(hub: LocalHub, tmp_path: Path) -> Iterator[Mounted]:
    """All that a mount needs; what is mounted there is taken away."""
    hub.create_repo("acme/model", {"config.json": b"{}"})
    mounted = Mounted(hub, tmp_path)
    mounted.root.mkdir()
    try:
        yield mounted
    finally:
        assert not mounted.stop()


def run(mounted: Mounted, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=mounted.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_works_until_unmounted(mounted: Mounted, done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (mounted / "acme/model/config.json").read_bytes() == b"{}"
    pid = mounted.pid
    done = run(mounted, "umount", mounted.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert wait_for_exit(pid, PATIENCE)
    assert not mounted.is_mounted


@pytest.mark.usefixtures("helpers")
def test_mount_and_fstab_know_the_type(unmounted: Mounted, tmp_path: Path) -> None:
    """`mount -t hubfs` and a line in fstab mount as `hubfs mount` does, `umount` ends it.

    The options are those of `hubfs mount`; what mount(8), systemd and fstab have for themselves
    means nothing.
    """
    hub, cache, root = unmounted.hub.endpoint, unmounted.cache, unmounted.root
    done = run(unmounted, "mount", "-t", "hubfs", hub, root, "-o", f"cache_dir={cache},noatime")
    assert_works_until_unmounted(unmounted, done)

    fstab = tmp_path / "fstab"
    options = f"allow_other,umask=007,uid=12,cache-dir={cache},endpoint={hub},_netdev,nofail"
    fstab.write_text(f"hubfs {root} hubfs {options},x-systemd.automount,log_level=info 0 0\n")
    done = run(unmounted, "mount", "-T", fstab, root)
    assert done.returncode == 0, done.stderr
    found = (unmounted / "acme/model/config.json").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (12, 0o440)
    assert_works_until_unmounted(unmounted, done)

    kind = ("mount", "-t", "fuse.hubfs")
    done = run(unmounted, *kind, "hubfs", root, "-o", f"rw,cache_dir={cache},endpoint={hub}")
    assert_works_until_unmounted(unmounted, done)


@pytest.mark.usefixtures("helpers")
def test_mount_says_what_is_wrong(unmounted: Mounted, tmp_path: Path) -> None:
    def failing(options: str, spec: str = "hubfs", root: Path = unmounted.root) -> tuple[int, str]:
        done = run(unmounted, "mount", "-t", "hubfs", spec, root, "-o", options)
        assert not unmounted.is_mounted
        return done.returncode, done.stderr.splitlines()[0]

    assert failing("cachedir=/x") == (1, "hubfs: -o cachedir: there is no such option")
    assert failing("limit_rate=fast")[1].startswith("hubfs: --limit-rate: 'fast' is not a size")
    assert failing("rw", spec="nonsense") == (1, "hubfs: --endpoint: not an endpoint: 'nonsense'")
    (tmp_path / "full/file").mkdir(parents=True)
    full = tmp_path / "full"
    code, said = failing(f"cache_dir={unmounted.cache}", root=full)
    assert (code, said) == (32, f"hubfs: {full} is not empty")
