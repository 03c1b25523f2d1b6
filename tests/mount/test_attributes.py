"""What stat, statfs and getxattr tell, and what cannot be changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localhub import File, LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import attribute, errno_of, is_there, names, sha256
from tests.mount.mounted import Mounted
from tests.mount.test_reading import MIB, blob
from tests.mount.waiting import wait_until

WEIGHTS = blob(9 * MIB, seed=41)


def test_files_and_directories_can_be_read_by_all_and_written_by_none(shared: Mounted) -> None:
    """Files have mode 0444, directories 0555; they belong to who mounted."""
    shared.hub.create_repo("attr/modes", {"sub/file": b"1234"})
    for name, mode in {
        "": stat.S_IFDIR | 0o555,
        "datasets": stat.S_IFDIR | 0o555,
        "attr": stat.S_IFDIR | 0o555,
        "attr/modes": stat.S_IFDIR | 0o555,
        "attr/modes/sub": stat.S_IFDIR | 0o555,
        "attr/modes/sub/file": stat.S_IFREG | 0o444,
    }.items():
        found = (shared / name).stat()
        assert (name, found.st_mode) == (name, mode)
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())


def test_sizes_are_those_of_the_contents(shared: Mounted) -> None:
    """A size is that of the content, for large files too, and its blocks are all there."""
    shared.hub.create_repo("attr/sizes", {"model.safetensors": WEIGHTS, "a.txt": b"abc", "e": b""})
    for name, size in {"model.safetensors": len(WEIGHTS), "a.txt": 3, "e": 0}.items():
        found = (shared / "attr/sizes" / name).stat()
        assert (found.st_size, found.st_blocks) == (size, -(-size // 512))


def test_times_are_those_of_the_last_commit(mount: Mount, hub: LocalHub) -> None:
    """Every time of a file or directory in a repo is that of the repo's last change."""
    first = hub.create_repo("attr/times", {"sub/a": b"1"})
    hub.push("attr/times", {"sub/a": b"2"})
    mounted = mount()
    dates = {f"@{first}": hub.repo("attr/times").commits[first].date}
    dates[""] = hub.repo("attr/times").head.date
    for revision, date in dates.items():
        for name in ("", "/sub", "/sub/a"):
            found = (mounted / f"attr/times{revision}{name}").stat()
            assert found.st_mtime == found.st_ctime == date.timestamp()


def test_an_inode_number_stays_across_remounts(mount: Mount, hub: LocalHub) -> None:
    """Inode numbers are the same after a remount, and no two files have the same."""
    hub.create_repo("attr/inodes", {f"{a}/{b}": b"x" for a in range(5) for b in range(5)})
    hub.create_repo("attr/others", {f"{a}/{b}": b"x" for a in range(5) for b in range(5)})
    mounted = mount()
    roots = ["attr/inodes", "attr/others", "attr/inodes@main"]
    before = inodes(mounted, roots)
    files = {path: number for path, number in before.items() if "inodes@main" not in path}
    assert len(set(files.values())) == len(files) == 62
    mounted.remount()
    assert inodes(mounted, roots) == before


def inodes(mounted: Mounted, roots: list[str]) -> dict[str, int]:
    found = {}
    for root in roots:
        for path in [mounted / root, *(mounted / root).rglob("*")]:
            found[str(path.relative_to(mounted.root))] = path.stat().st_ino
    return found


def test_a_file_has_one_inode_under_every_name_of_its_commit(shared: Mounted) -> None:
    commit = shared.hub.create_repo("attr/same", {"sub/a": b"x"})
    numbers = {
        (shared / f"attr/same{revision}/sub/a").stat().st_ino
        for revision in ("", "@main", f"@{commit}")
    }
    assert len(numbers) == 1


def test_statfs_tells_of_the_disk_under_the_cache(shared: Mounted) -> None:
    """`df` shows the capacity of the file system that holds the cache."""
    found, cache = os.statvfs(shared.root), os.statvfs(shared.cache)
    assert found.f_blocks * found.f_frsize == cache.f_blocks * cache.f_frsize // 4096 * 4096
    free = found.f_bavail * found.f_frsize
    assert abs(free - cache.f_bavail * cache.f_frsize) < 1 << 30
    assert found.f_namemax == 255
    assert found.f_flag & os.ST_RDONLY


def test_extended_attributes_tell_what_a_file_is_and_how_much_is_here(shared: Mounted) -> None:
    """`user.hubfs.` attributes tell a file's repo, commit, path, hashes, kind, and what is here."""
    name = "sub/model-Q4_K_M.gguf"
    commit = shared.hub.create_repo("attr/xattrs", {name: File(WEIGHTS, lfs=True)})
    path = shared / "attr/xattrs" / name
    content = shared.hub.repo("attr/xattrs").head.tree.files[name]
    expected = {
        "repo": "attr/xattrs",
        "commit": commit,
        "path": name,
        "sha256": sha256(WEIGHTS),
        "git_oid": content.oid,
        "cached_bytes": "0",
        "state": "absent",
        "kind": "model",
        "format": "gguf",
        "precision": "q4_k_m",
    }
    assert attributes(path) == expected
    with path.open("rb") as file:
        file.read(1)
        assert attribute(path, "state") == "partial"
        assert 0 < int(attribute(path, "cached_bytes")) < len(WEIGHTS)
    assert sha256(path) == sha256(WEIGHTS)
    wait_until(lambda: attribute(path, "state") == "complete")
    assert attributes(path) == expected | {"cached_bytes": str(len(WEIGHTS)), "state": "complete"}


def attributes(path: Path) -> dict[str, str]:
    names = os.listxattr(path)
    assert all(name.startswith("user.hubfs.") for name in names)
    return {name.removeprefix("user.hubfs."): os.getxattr(path, name).decode() for name in names}


def test_the_sha256_of_a_plain_file_is_told_once_it_is_here(shared: Mounted) -> None:
    data = b'{"of": "attr/plain"}'  # and of no other repo
    shared.hub.create_repo("attr/plain", {"config.json": data, "empty": b""})
    path = shared / "attr/plain/config.json"
    assert "sha256" not in attributes(path)
    assert path.read_bytes() == data
    assert attribute(path, "sha256") == sha256(data)
    assert attribute(shared / "attr/plain/empty", "state") == "complete"


def test_a_directory_of_a_repo_tells_where_it_comes_from(shared: Mounted) -> None:
    commit = shared.hub.create_repo("attr/dirs", {"sub/a": b""}, kind="dataset")
    root = shared / "datasets/attr/dirs"
    assert attributes(root) == {"repo": "datasets/attr/dirs", "commit": commit, "path": ""}
    assert attributes(root / "sub")["path"] == "sub"
    assert attributes(shared.root) == attributes(shared / "datasets") == {}


@pytest.mark.parametrize("name", ["user.hubfs.absent", "user.other", "security.capability"])
def test_an_absent_attribute_is_enodata(shared: Mounted, name: str) -> None:
    shared.hub.create_repo("attr/absent", {"a": b""})
    for path in (shared.root, shared / "attr", shared / "attr/absent", shared / "attr/absent/a"):
        assert errno_of(os.getxattr, path, name) == "ENODATA"


FILE, NEW = "attr/fixed/sub/file", "attr/fixed/sub/new"
CHANGES: dict[str, Callable[[Mounted], object]] = {
    "write": lambda m: os.open(m / FILE, os.O_WRONLY),
    "read and write": lambda m: os.open(m / FILE, os.O_RDWR),
    "append": lambda m: os.open(m / FILE, os.O_WRONLY | os.O_APPEND),
    "truncate at open": lambda m: os.open(m / FILE, os.O_RDONLY | os.O_TRUNC),
    "truncate": lambda m: os.truncate(m / FILE, 0),
    "create": lambda m: os.open(m / NEW, os.O_RDWR | os.O_CREAT, 0o644),
    "create in the root": lambda m: os.open(m / "new", os.O_RDWR | os.O_CREAT, 0o644),
    "unlink": lambda m: (m / FILE).unlink(),
    "mkdir": lambda m: (m / NEW).mkdir(),
    "mkdir in the root": lambda m: (m / "new").mkdir(),
    "rmdir": lambda m: (m / "attr/fixed/sub").rmdir(),
    "rename": lambda m: (m / FILE).rename(m / NEW),
    "rename a repo": lambda m: (m / "attr/fixed").rename(m / "attr/other"),
    "symlink": lambda m: (m / NEW).symlink_to("file"),
    "link": lambda m: (m / NEW).hardlink_to(m / FILE),
    "mknod": lambda m: os.mkfifo(m / NEW),
    "chmod": lambda m: (m / FILE).chmod(0o666),
    "chmod the root": lambda m: m.root.chmod(0o777),
    "chown": lambda m: os.chown(m / FILE, 12, 12),
    "utime": lambda m: os.utime(m / FILE),
    "setxattr": lambda m: os.setxattr(m / FILE, "user.x", b"1"),
    "removexattr": lambda m: os.removexattr(m / FILE, "user.hubfs.repo"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_can_be_changed(shared: Mounted, change: str) -> None:
    """Every call that would change anything fails with EROFS."""
    shared.hub.create_repo("attr/fixed", {"sub/file": b"content"})
    assert (shared / FILE).read_bytes() == b"content"
    assert errno_of(CHANGES[change], shared) == "EROFS"
    assert (shared / FILE).read_bytes() == b"content"
    assert names(shared / "attr/fixed/sub") == {"file"}


def test_access_says_what_open_would(shared: Mounted) -> None:
    shared.hub.create_repo("attr/access", {"a": b""})
    path = shared / "attr/access/a"
    assert os.access(path, os.R_OK)
    assert not os.access(path, os.W_OK)
    assert not os.access(path, os.X_OK)
    assert os.access(path.parent, os.R_OK | os.X_OK)
    assert not os.access(path.parent, os.W_OK)


def test_a_file_of_another_kind_than_asked_for_is_refused(shared: Mounted) -> None:
    shared.hub.create_repo("attr/kinds", {"file": b"x", "sub/a": b""})
    shared.hub.add_alias("attr-link", "attr/kinds")
    root = shared / "attr/kinds"
    assert errno_of((root / "file/below").stat) == "ENOTDIR"
    assert errno_of(lambda: list((root / "file").iterdir())) == "ENOTDIR"
    assert errno_of((root / "sub").read_bytes) == "EISDIR"
    assert errno_of((root / "file").readlink) == "EINVAL"
    assert errno_of(os.open, shared / "attr-link", os.O_RDONLY | os.O_NOFOLLOW) == "ELOOP"
    assert not is_there(root / "absent")
