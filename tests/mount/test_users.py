"""Mounting without being root, through fusermount3."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of
from tests.mount.mounted import HUBFS, environment_in
from tests.mount.waiting import PATIENCE

NOBODY = 65534


class User:
    """Runs commands as nobody, who may look everywhere (where the tests live) and do nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        looks = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        self._prefix = ["setpriv", *ids, *looks, "--"]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._prefix, *command],
            env=environment_in(self.home),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture
def user() -> Iterator[User]:
    """A user with a directory of its own, while /dev/fuse is open to all."""
    if os.getuid():
        pytest.skip("only root may become another user")
    device, home = Path("/dev/fuse"), Path(tempfile.mkdtemp(prefix="hubfs-user-"))
    before = stat.S_IMODE(device.stat().st_mode)
    user = User(home)
    environment_in(home)
    for path in (home, *home.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    device.chmod(0o666)
    try:
        yield user
    finally:
        device.chmod(before)
        user.run("fusermount3", "-u", "-z", home / "models")
        shutil.rmtree(home)


def test_a_user_without_rights_can_mount(user: User, hub: LocalHub) -> None:
    """Any user may mount; others, root included, see nothing of it without `--allow-other`."""
    hub.create_repo("acme/model", {"config.json": b"{}"})
    models, cache = user.home / "models", user.home / "cache"
    assert user.run("mkdir", models).returncode == 0
    command = [HUBFS, "mount", str(models), "--cache-dir", str(cache), "--endpoint", hub.endpoint]
    done = user.run(*command)
    assert done.returncode == 0, done.stderr
    read = user.run("cat", models / "acme/model/config.json")
    assert (read.returncode, read.stdout) == (0, "{}")
    owner = user.run("stat", "-c", "%u %g %a", models / "acme/model/config.json")
    assert owner.stdout.split() == [str(NOBODY), str(NOBODY), "444"]
    for path in (models, models / "acme/model/config.json"):  # this is root
        assert errno_of(path.stat) == "EACCES"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    again = user.run(*command)
    assert "is mounted already" in again.stderr
    done = user.run(HUBFS, "umount", models)
    assert (done.returncode, done.stderr) == (0, "")


def test_allow_other_needs_the_administrators_consent(user: User, hub: LocalHub) -> None:
    if "\nuser_allow_other" in Path("/etc/fuse.conf").read_text():
        pytest.skip("this machine's administrator has consented")
    models = user.home / "models"
    user.run("mkdir", models)
    cache = str(user.home / "cache")
    options = ["--cache-dir", cache, "--endpoint", hub.endpoint, "--allow-other"]
    done = user.run(HUBFS, "mount", models, *options)
    assert done.returncode == 1
    assert "user_allow_other" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", [[], ["--allow-other"]])
def test_other_users_see_the_mount_if_they_may(
    user: User, mount: Mount, hub: LocalHub, option: list[str]
) -> None:
    hub.create_repo("acme/model", {"config.json": b"{}"})
    mounted = mount(*option)
    read = user.run("cat", mounted / "acme/model/config.json")
    assert (read.returncode, read.stdout) == ((0, "{}") if option else (1, ""))
