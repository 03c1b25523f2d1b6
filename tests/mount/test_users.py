"""Mounting without being root, through fusermount3."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfs.store.lock import find_owner
from tests.localhub import Fault, LocalHub
from tests.mount.children import ROOT, command
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
        with subprocess.Popen(
            [*self._prefix, *command],
            env=environment_in(self.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as child:
            try:
                output, errors = child.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill_daemon()  # who waits for it cannot be killed
                raise
            finally:
                child.kill()
        return subprocess.CompletedProcess(command, child.returncode, output, errors)

    def kill_daemon(self) -> None:
        """Kill the owner of the cache, if there is one still."""
        if owner := find_owner(self.home / "cache"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def killing(self, *command: str | Path) -> Iterator[None]:
        """Let a command wait for the file system within, then kill it: it is gone at once."""
        with subprocess.Popen([*self._prefix, *command], stdout=subprocess.DEVNULL) as child:
            try:
                yield
            finally:
                child.kill()
            assert child.wait(5) == -signal.SIGKILL

    def mount(self, hub: LocalHub) -> Path:
        """Mount a Hub; return where."""
        models = self.home / "models"
        assert self.run("mkdir", models).returncode == 0
        places = [str(models), "--cache-dir", str(self.home / "cache"), "--endpoint", hub.endpoint]
        done = self.run(HUBFS, "mount", *places)
        assert done.returncode == 0, done.stderr
        return models


@contextlib.contextmanager
def device_for_all() -> Iterator[None]:
    """/dev/fuse open to all; once nobody else needs it so, it is as it was before."""
    device = Path("/dev/fuse")
    lock = os.open(Path(__file__).parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    before = stat.S_IMODE(device.stat().st_mode)
    device.chmod(0o666)
    try:
        yield
    finally:
        if before != 0o666:
            fcntl.flock(lock, fcntl.LOCK_EX)
            device.chmod(before)
        os.close(lock)


@pytest.fixture
def user() -> Iterator[User]:
    """A user with a directory of its own, while /dev/fuse is open to all."""
    if os.getuid():
        pytest.skip("only root may become another user")
    home = Path(tempfile.mkdtemp(prefix="hubfs-user-"))
    user = User(home)
    environment_in(home)
    for path in (home, *home.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    with device_for_all():
        try:
            yield user
        finally:
            user.run("fusermount3", "-u", "-z", home / "models")
            user.kill_daemon()
            shutil.rmtree(home)


def test_a_user_without_rights_can_mount(user: User, hub: LocalHub) -> None:
    """Any user may mount; others, root included, see nothing of it without `--allow-other`."""
    hub.create_repo("acme/model", {"config.json": b"{}"})
    models, cache = user.mount(hub), user.home / "cache"
    read = user.run("cat", models / "acme/model/config.json")
    assert (read.returncode, read.stdout) == (0, "{}")
    owner = user.run("stat", "-c", "%u %g %a", models / "acme/model/config.json")
    assert owner.stdout.split() == [str(NOBODY), str(NOBODY), "444"]
    for path in (models, models / "acme/model/config.json"):  # this is root
        assert errno_of(path.stat) == "EACCES"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    again = user.run(HUBFS, "mount", models, "--cache-dir", cache)
    assert "is mounted already" in again.stderr
    done = user.run(HUBFS, "umount", models)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_is_killed_and_who_unmounts_waits_for_nothing(user: User, hub: LocalHub) -> None:
    """A killed reader goes away at once, and so does one that looks up a name; so does a mount."""
    hub.create_repo("acme/model", {"model.bin": os.urandom(1 << 20)})
    models = user.mount(hub)
    assert user.run("stat", models / "acme/model/model.bin").returncode == 0
    silence = Fault("slow_headers", seconds=120, times=None)
    hub.faults.add(silence)
    with user.killing("cat", models / "acme/model/model.bin"):
        hub.log.wait_until(lambda log: bool(log.requests(path_contains="/resolve/")))
    with user.killing("stat", models / "acme/unknown"):
        hub.log.wait_until(lambda log: bool(log.requests(path_contains="acme/unknown")))
    done = user.run(HUBFS, "umount", models)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_user_lists_more_than_fits_a_message(user: User, hub: LocalHub) -> None:
    """Nobody but root may enlarge the buffers through which listings go."""
    names = {f"{'x' * 200}-{number:04}.bin" for number in range(4000)}
    hub.create_repo("acme/wide", {f"d/{name}": b"" for name in names})
    models = user.mount(hub)
    assert {*user.run("ls", models / "acme/wide/d").stdout.split()} == names
    found = user.run("find", models / "acme/wide/d", "-type", "f", "-size", "0")
    assert len(found.stdout.split()) == len(names)
    assert user.run(HUBFS, "umount", models).returncode == 0


LINES = 1500
LINE = 19 + 200 + 5  # struct linux_dirent64 of a name of 200 bytes


@pytest.mark.parametrize(
    ("verb", "threads", "found"),
    [("list-at-once", 8, 2 * 16 * LINES * LINE), ("open-at-once", 300, 2 * 30 * 10)],
)
def test_many_programs_at_once_do_not_stop_a_users_mount(
    user: User, hub: LocalHub, verb: str, threads: int, found: int
) -> None:
    """Where more is answered than there is room for, answers wait; none is lost, nothing stops."""
    directories = [f"list-at-once/{each:02}" for each in range(16)]
    names = [f"{'x' * 196}{each:04}" for each in range(LINES)]
    files = {f"open-at-once/{each:02}": b"0123456789" for each in range(30)}
    hub.create_repo(
        "acme/wide", files | {f"{d}/{name}": b"" for d in directories for name in names}
    )
    models = user.mount(hub)
    done = user.run(*command(verb, models / "acme/wide" / verb, threads, 2))
    assert (done.returncode, done.stdout.split()) == (0, [str(found)]), done.stderr
    assert user.run(HUBFS, "umount", models).returncode == 0


def test_what_a_user_may_not_have_is_said(user: User, hub: LocalHub) -> None:
    """`hubfs status` says how a mount is read, and why; `hubfs mount` why it is refused."""
    models, cache = user.mount(hub), user.home / "cache"
    status = json.loads(user.run(HUBFS, "status", "--json", "--cache-dir", cache).stdout)
    assert status["mode"]["way"] == "relay"
    assert "CAP_SYS_ADMIN" in status["mode"]["reason"]
    assert user.run(HUBFS, "umount", models).returncode == 0
    (user.home / "theirs").mkdir()
    places = ["--cache-dir", str(cache), "--endpoint", hub.endpoint]
    done = user.run(HUBFS, "mount", user.home / "theirs", *places)
    assert (done.returncode, "no write access to mountpoint" in done.stderr) == (1, True), done
    done = user.run(HUBFS, "mount", models, *places, "--passthrough", "on")
    assert (done.returncode, "run as root" in done.stderr) == (1, True)


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
