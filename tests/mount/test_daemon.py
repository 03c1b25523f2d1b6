"""Daemons, their caches and their mountpoints: begun, crashed, refused, taken over."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

from hubfs.fuse import kernel
from hubfs.store.files import make_private_directory
from hubfs.store.index import SCHEMA_VERSION
from hubfs.store.lock import CacheLock, find_owner
from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of, names, sha256
from tests.mount.mounted import HUBFS, Mounted
from tests.mount.test_reading import MIB, blob
from tests.mount.waiting import PATIENCE, wait_until
from tests.store.disks import mount_tiny, unmount

DATA = blob(9 * MIB, seed=71)
REPO = "acme/model"


@pytest.fixture
def mounted(mount: Mount, hub: LocalHub) -> Mounted:
    """A mount whose one repo has been read whole."""
    hub.create_repo(REPO, {"model.bin": DATA, "config.json": b"{}"})
    mounted = mount()
    assert_readable(mounted)
    wait_until(lambda: len(mounted.blobs) == 2)
    return mounted


def assert_readable(mounted: Mounted) -> None:
    assert sha256(mounted / REPO / "model.bin") == sha256(DATA)
    assert (mounted / REPO / "config.json").read_bytes() == b"{}"


def complaint(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """What a command that fails says: one sentence, perhaps a hint, and no traceback."""
    assert done.returncode == code, done
    assert done.stdout == ""
    first, *hints = done.stderr.splitlines()
    assert first.startswith("hubfs: ")
    assert len(hints) <= 1
    return done.stderr


def test_mount_returns_when_the_mount_answers(mount: Mount, hub: LocalHub) -> None:
    """`hubfs mount` returns when the mount answers, `hubfs umount` when its daemon has ended."""
    mounted = mount()
    assert mounted.is_mounted
    entry = kernel.find_mount(mounted.root)
    assert entry is not None
    assert (entry.type, entry.source) == ("fuse.hubfs", hub.endpoint)
    done = mounted.hubfs("umount", mounted.root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert mounted.wait_for_end(0)
    assert not mounted.is_mounted


def test_a_mount_says_where_things_are(mount: Mount) -> None:
    mounted = mount()
    mounted.terminate()
    done = mounted.hubfs(*mounted.mount_command())
    for each in (mounted.hub.endpoint, mounted.root, mounted.cache, mounted.cache / "hubfs.log"):
        assert str(each) in done.stdout
    assert mounted.hubfs("umount", mounted.root).returncode == 0


def test_who_mounts_is_told_once_whose_secrets_others_may_read(
    mount: Mount, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("hf_test")
    mounted = mount()
    for mode, is_exposed in ((0o644, True), (0o600, False)):
        token.chmod(mode)
        mounted.terminate()
        done = mounted.hubfs(*mounted.mount_command("--token-file", str(token)))
        mounted.adopt()
        assert done.returncode == 0
        said = f"hubfs: {token} holds secrets, and others may read it\n  chmod 600 {token}\n"
        assert done.stderr == said * is_exposed
    assert f"{token} holds secrets" in mounted.log


def test_one_daemon_owns_a_cache(mounted: Mounted, tmp_path: Path) -> None:
    """A cache belongs to one daemon; a second one is told the first one's pid and mountpoint."""
    other = tmp_path / "other"
    other.mkdir()
    said = complaint(try_to_mount(mounted, other, mounted.cache))
    assert f"process {mounted.pid}" in said
    assert str(mounted.root) in said
    assert "in use" not in mounted.log  # which is the first one's
    assert kernel.find_mount(other) is None
    assert_readable(mounted)


def test_a_mount_waits_a_little_for_a_command_that_has_the_cache(bare: Mounted) -> None:
    make_private_directory(bare.cache)
    lock = CacheLock(bare.cache)
    ending = threading.Timer(1.0, lock.release)
    ending.start()
    bare.mount()
    ending.join()
    assert bare.is_mounted


def test_a_mount_does_not_wait_for_long(bare: Mounted) -> None:
    make_private_directory(bare.cache)
    lock = CacheLock(bare.cache)
    said = complaint(bare.hubfs(*bare.mount_command()))
    lock.release()
    assert f"in use by process {os.getpid()}" in said
    assert "wait until its jobs have ended" in said


def in_background(bare: Mounted, hub: LocalHub) -> tuple[str, ...]:
    """Have a job in the background that takes long; what names the cache for commands."""
    hub.create_repo("acme/large", {"model.gguf": blob(4 * MIB, seed=72)})
    hub.bandwidth = MIB // 4
    names = ("--cache-dir", str(bare.cache), "--endpoint", hub.endpoint)
    done = bare.hubfs("prefetch", "acme/large", "--background", *names)
    assert done.returncode == 0, done.stderr
    hub.log.wait_until(lambda log: log.content_bytes() > 65536, PATIENCE)
    return names


def test_a_mount_goes_on_with_what_is_done_in_the_background(bare: Mounted, hub: LocalHub) -> None:
    """Nobody has to wait for such jobs, or end them, to mount; who looks on goes on looking."""
    names = in_background(bare, hub)
    with bare.begin("jobs", "1", "--follow", *names) as following:
        bare.mount()
        hub.bandwidth = None
        _, errors = following.communicate(timeout=PATIENCE)
    assert following.returncode == 0, errors
    assert sha256(bare / "acme/large/model.gguf") == sha256(blob(4 * MIB, seed=72))


def test_what_is_done_in_the_background_goes_on_where_a_mount_fails(
    bare: Mounted, hub: LocalHub
) -> None:
    names = in_background(bare, hub)
    (bare.root / "something").touch()
    complaint(bare.hubfs(*bare.mount_command()), 2)
    hub.bandwidth = None
    wait_until(lambda: not (bare.cache / "lock").read_text())  # its last job has ended
    job = json.loads(bare.hubfs("jobs", "1", "--json", *names).stdout)
    assert job["state"] == "completed"
    (bare.root / "something").unlink()


def test_a_mount_without_the_hub_lets_no_job_fail_for_it(bare: Mounted, hub: LocalHub) -> None:
    names = in_background(bare, hub)
    said = complaint(bare.hubfs(*bare.mount_command("--offline")))
    assert "wait until its jobs have ended" in said
    owner = find_owner(bare.cache)
    assert owner is not None
    os.kill(owner.pid, signal.SIGTERM)
    wait_until(lambda: not (bare.cache / "lock").read_text())
    bare.mount("--offline")
    job = json.loads(bare.hubfs("jobs", "1", "--json", "--cache-dir", bare.cache).stdout)
    assert (job["state"], job["parked"], job["background"]) == ("pending", True, True)
    bare.umount()
    hub.bandwidth = None
    assert "job 1 goes on in the background" in bare.hubfs("ls", *names).stderr
    wait_until(lambda: not (bare.cache / "lock").read_text())


def test_a_mount_of_another_hub_ends_no_jobs(bare: Mounted, hub: LocalHub) -> None:
    names = in_background(bare, hub)
    command = [*bare.mount_command(), "--endpoint", "http://127.0.0.1:1"]
    assert "wait until its jobs have ended" in complaint(bare.hubfs(*command))
    assert json.loads(bare.hubfs("jobs", "1", "--json", *names).stdout)["state"] == "running"
    hub.bandwidth = None
    wait_until(lambda: not (bare.cache / "lock").read_text())


def test_who_does_not_have_the_cache_is_not_told_to_give_way(bare: Mounted) -> None:
    """What a lock names is no more than a number: of a process before a crash, or of garbage."""
    make_private_directory(bare.cache)
    lock = CacheLock(bare.cache)
    with subprocess.Popen(["sleep", "100"]) as other:
        note = {"pid": other.pid, "mountpoint": "", "since": 0.0, "gives_way_to": bare.hub.endpoint}
        (bare.cache / "lock").write_text(json.dumps(note))
        assert f"in use by process {other.pid}" in complaint(bare.hubfs(*bare.mount_command()))
        assert other.poll() is None
        other.kill()
    lock.release()


def test_who_follows_a_job_is_told_that_the_mount_has_ended(mounted: Mounted) -> None:
    mounted.hub.create_repo("acme/large", {"model.gguf": blob(4 * MIB, seed=73)})
    mounted.hub.bandwidth = MIB // 4
    with mounted.begin("prefetch", "acme/large", "--cache-dir", str(mounted.cache)) as following:
        mounted.hub.log.wait_until(lambda log: bool(log.requests(path_contains="large/resolve")))
        mounted.umount()
        _, errors = following.communicate(timeout=PATIENCE)
    assert following.returncode == 1
    assert "hubfs: the daemon has ended\n  its jobs go on when it runs again" in errors


def test_a_token_that_is_not_there_yet_is_missed_aloud(bare: Mounted, tmp_path: Path) -> None:
    done = bare.hubfs(*bare.mount_command("--token-file", str(tmp_path / "token")))
    bare.adopt()
    assert done.returncode == 0
    assert f"--token-file: there is no {tmp_path / 'token'}\n" in done.stderr


def test_a_mount_that_nobody_waits_for_any_more_is_none(bare: Mounted) -> None:
    """Ctrl-C while it waits for a command that has the cache."""
    make_private_directory(bare.cache)
    lock = CacheLock(bare.cache)
    with bare.begin(*bare.mount_command()) as mounting:
        wait_until(lambda: "--ready-fd" in processes_of(bare.cache))
        mounting.send_signal(signal.SIGINT)
        mounting.communicate(timeout=PATIENCE)
    wait_until(lambda: not processes_of(bare.cache))
    lock.release()
    assert not bare.is_mounted
    assert "has ended" in bare.log


def processes_of(cache: Path) -> str:
    """The command lines that name a cache."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(each.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(line for line in found if str(cache) in line)


def test_who_waits_for_a_cache_does_not_mount_over_who_did_not(
    bare: Mounted, tmp_path: Path
) -> None:
    make_private_directory(bare.cache)
    lock = CacheLock(bare.cache)
    with bare.begin(*bare.mount_command()) as mounting:
        wait_until(lambda: "--ready-fd" in processes_of(bare.cache))
        done = try_to_mount(bare, bare.root, tmp_path / "other")
        assert done.returncode == 0, done.stderr
        bare.adopt()
        lock.release()
        _, errors = mounting.communicate(timeout=PATIENCE)
    assert (mounting.returncode, "is mounted already" in errors) == (1, True), errors


def test_several_mounts_with_caches_of_their_own(mount: Mount, mounted: Mounted) -> None:
    other = mount()
    assert_readable(other)
    other.umount()
    assert_readable(mounted)


def test_a_mountpoint_is_used_once(mounted: Mounted, tmp_path: Path) -> None:
    done = try_to_mount(mounted, mounted.root, tmp_path / "second")
    assert "is mounted already" in complaint(done)
    assert_readable(mounted)


def test_a_crashed_daemons_mountpoint_is_taken_over(mounted: Mounted) -> None:
    """One that a killed daemon left dead is taken over by the next `hubfs mount`."""
    assert mounted.root.stat().st_ino == 1  # which the kernel answers by itself from now on
    mounted.kill()
    assert mounted.is_mounted
    assert errno_of((mounted / "absent").stat) == "ENOTCONN"
    mounted.hub.log.clear()
    mounted.mount()
    assert_readable(mounted)
    assert len(mounted.hub.log) == 0
    mounted.umount()
    assert not mounted.is_mounted


def test_a_crashed_daemons_mountpoint_can_be_unmounted(mounted: Mounted) -> None:
    mounted.kill()
    mounted.umount()
    assert not mounted.is_mounted
    assert names(mounted.root) == set()


def damage_all(index: Path) -> None:
    (index / "data.mdb").write_bytes(b"not an index" * 10_000)


def cut(index: Path) -> None:
    os.truncate(index / "data.mdb", 20_000)


def lose(index: Path) -> None:
    (index / "data.mdb").unlink()


@pytest.mark.parametrize("damage", [damage_all, cut, lose])
def test_a_damaged_index_is_made_anew(mounted: Mounted, damage: Callable[[Path], None]) -> None:
    """It is lost, cut or overwritten, and no byte of a blob with it.

    An index that cannot be read is set aside, with a clear message, and made from the blobs:
    nothing that was downloaded is downloaded again.
    """
    mounted.terminate()
    damage(mounted.cache / "index")
    mounted.hub.log.clear()
    mounted.mount()
    assert_readable(mounted)
    assert mounted.hub.log.content_bytes() == 0
    assert "made a new index of 2 blobs" in mounted.log
    if damage is not lose:
        aside = list(mounted.cache.glob("index.damaged-*/data.mdb"))
        assert len(aside) == 1
        assert str(aside[0].parent) in mounted.log


def test_an_index_of_a_newer_hubfs_is_left_alone(mounted: Mounted) -> None:
    """One that a newer hubfs wrote is refused and not touched."""
    mounted.terminate()
    data = mounted.cache / "index/data.mdb"
    write_schema(data, SCHEMA_VERSION + 1)
    before = (data.stat().st_mtime_ns, set(mounted.cache.rglob("*")))
    said = complaint(mounted.hubfs(*mounted.mount_command()))
    assert f"schema {SCHEMA_VERSION + 1}" in said
    assert "upgrade hubfs" in said
    assert not mounted.is_mounted
    assert (data.stat().st_mtime_ns, set(mounted.cache.rglob("*"))) == before
    write_schema(data, SCHEMA_VERSION)
    mounted.hub.log.clear()
    mounted.mount()
    assert_readable(mounted)
    assert len(mounted.hub.log) == 0


def write_schema(data: Path, version: int) -> None:
    """Leave the index as a hubfs of this schema would."""
    with (
        lmdb.open(str(data.parent), map_size=data.stat().st_size, max_dbs=64) as environment,
        environment.begin(write=True) as txn,
    ):
        txn.put(b"schema", str(version).encode(), db=environment.open_db(b"meta", txn=txn))


@pytest.fixture
def bare(mount: Mount) -> Mounted:
    """Nothing mounted, but all that is needed to try."""
    mounted = mount()
    mounted.terminate()
    return mounted


def test_a_mountpoint_must_be_an_empty_directory_of_its_own(bare: Mounted, tmp_path: Path) -> None:
    """It is misuse in the foreground and in the background.

    A mountpoint is an empty directory outside the cache; anything else is refused, with exit code
    2.
    """
    file, full, inside = tmp_path / "file", tmp_path / "full", bare.cache / "models"
    file.write_text("mine")
    for each in (full, inside):
        each.mkdir()
    (full / "mine").write_text("mine")
    cases: dict[Path, tuple[int, str]] = {
        tmp_path / "missing": (2, "is not a directory"),
        file: (2, "is not a directory"),
        full: (2, "is not empty"),
        inside: (2, "is inside the cache"),
        bare.cache: (2, "is inside the mountpoint"),
        bare.cache.parent: (2, "is inside the mountpoint"),
    }
    for path, (code, reason) in cases.items():
        for options in ((), ("--foreground",)):
            assert reason in complaint(try_to_mount(bare, path, bare.cache, *options), code)
            assert kernel.find_mount(path) is None
    assert (full / "mine").read_text() == "mine"


def try_to_mount(
    bare: Mounted, path: Path, cache: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    places = (path, "--cache-dir", cache, "--endpoint", bare.hub.endpoint)
    return bare.hubfs("mount", *places, *options)


def test_a_mountpoint_may_be_named_in_any_way(bare: Mounted, tmp_path: Path) -> None:
    """A mountpoint may be named by a symlink, or relative to where the command runs."""
    link = tmp_path / "link"
    link.symlink_to(Path("away") / ".." / bare.root.relative_to(tmp_path))
    (tmp_path / "away").mkdir()
    assert try_to_mount(bare, link, bare.cache).returncode == 0
    assert bare.is_mounted
    assert bare.hubfs("umount", os.path.relpath(link)).returncode == 0
    assert not bare.is_mounted


def test_a_mountpoint_may_have_any_name(bare: Mounted, tmp_path: Path) -> None:
    odd = tmp_path / "sp ace\ttab\nline \\040 back\\slash, comma ünïcödé"
    odd.mkdir()
    assert try_to_mount(bare, odd, bare.cache).returncode == 0
    assert names(odd) == {"datasets", "spaces"}
    assert "is mounted already" in try_to_mount(bare, odd, tmp_path / "second").stderr
    assert bare.hubfs("umount", odd).returncode == 0
    assert names(odd) == set()


def test_a_cache_must_be_a_directory_that_is_not_in_the_mount(
    bare: Mounted, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for cache in (file, file / "below"):
        said = complaint(try_to_mount(bare, bare.root, cache), 2)
        assert said.startswith(f"hubfs: --cache-dir: {file} is a file, not a directory\n  name ")
    within = try_to_mount(bare, bare.root, bare.root / "cache")
    assert "inside the mountpoint" in complaint(within, 2)
    assert file.read_text() == "mine"
    assert names(bare.root) == set()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Make directories read-only, as a disk is that is mounted so."""
    if os.getuid():
        pytest.skip("only root may remount a directory read-only")
    done: list[Path] = []

    def make(path: Path) -> None:
        subprocess.run(["mount", "--bind", path, path], check=True)
        done.append(path)
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)

    yield make
    for path in done:
        subprocess.run(["umount", path], check=True)


def test_a_cache_that_may_not_be_written_is_read(
    read_only: Callable[[Path], None], mount: Mount, hub: LocalHub
) -> None:
    """A cache on a read-only disk is read as it is; what is not in it is read and not kept."""
    hub.create_repo("acme/cached", {"model.bin": DATA})
    hub.create_repo("acme/other", {"model.bin": DATA[::-1]})
    mounted = mount()
    assert sha256(mounted / "acme/cached/model.bin") == sha256(DATA)
    wait_until(lambda: len(mounted.blobs) == 1)
    mounted.terminate()
    read_only(mounted.cache)
    mounted.mount()
    assert sha256(mounted / "acme/cached/model.bin") == sha256(DATA)
    assert hub.log.content_bytes() == len(DATA)
    assert sha256(mounted / "acme/other/model.bin") == sha256(DATA[::-1])
    assert len(mounted.blobs) == 1


def test_in_the_foreground_it_logs_to_standard_error(bare: Mounted) -> None:
    """`hubfs mount --foreground` stays, and logs to standard error, until it is interrupted."""
    command = [HUBFS, *bare.mount_command("--foreground")]
    with subprocess.Popen(
        command, env=bare.environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: bare.is_mounted and bare.root.stat().st_ino == 1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "ready" in said
    assert "Traceback" not in said
    assert not bare.is_mounted


def test_what_is_not_mounted_cannot_be_unmounted(bare: Mounted, tmp_path: Path) -> None:
    for path in (bare.root, tmp_path / "missing", Path("/proc")):
        said = complaint(bare.hubfs("umount", path))
        assert f"nothing of hubfs is mounted at {path}" in said
    assert Path("/proc/self").exists()


# --- ends ------------------------------------------------------------------------------


def test_a_daemon_that_ends_takes_nothing_else_away(mounted: Mounted) -> None:
    with (mounted / REPO / "model.bin").open("rb") as file:
        assert not mounted.hubfs("umount", "--lazy", mounted.root).returncode
        assert not mount_tiny(mounted.root)
        try:
            (mounted.root / "theirs").write_text("precious")
            assert file.read(10) == DATA[:10]
            file.close()
            assert mounted.wait_for_end()
            assert (mounted.root / "theirs").read_text() == "precious"
        finally:
            unmount(mounted.root)


def test_an_unmount_waits_for_no_read_that_nobody_waits_for(mount: Mount, hub: LocalHub) -> None:
    hub.create_repo(REPO, {"model.bin": DATA})
    mounted = mount()
    path = mounted / REPO / "model.bin"
    path.stat()
    hub.down()
    with subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL) as reader:
        wait_until(lambda: "State:\tD" in Path(f"/proc/{reader.pid}/status").read_text())
        reader.kill()
    done = mounted.hubfs("umount", mounted.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert mounted.wait_for_end()


def test_a_daemon_is_found_after_its_users_last_logout(mounted: Mounted) -> None:
    """The system then removes the runtime directory, and the daemon lives on."""
    shutil.rmtree(mounted.environment["XDG_RUNTIME_DIR"])
    mounted.environment["HUBFS_CACHE_DIR"] = str(mounted.cache)
    status = json.loads(mounted.hubfs("status", "--json").stdout)
    assert (status["is_daemon"], status["mountpoint"]) == (True, str(mounted.root))
    done = mounted.hubfs("umount", mounted.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (mounted.cache / "lock").read_text()


def test_a_second_signal_does_not_kill_in_the_midst(mounted: Mounted) -> None:
    pid = mounted.pid
    for _ in range(20):
        os.kill(pid, signal.SIGTERM)
        if mounted.signal(signal.SIGINT, 0.02):
            break
    else:
        assert mounted.wait_for_end()
    assert not mounted.is_mounted


def test_mounts_may_be_called_anything(mount: Mount, hub: LocalHub, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"stick-\xfcber")
    odd.mkdir()
    assert not mount_tiny(odd)
    try:
        assert kernel.find_mount(odd) is not None
        assert mount().is_mounted
    finally:
        unmount(odd)
