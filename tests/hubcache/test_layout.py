"""What stands where in `.hub`, and what it costs to look."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfs.fs.cachedfiles import MOST_FILES_LISTED
from tests.hubcache.clients import Client
from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of, is_there, link, names, sizes_below
from tests.mount.mounted import Mounted
from tests.mount.waiting import wait_until

FILES = {"config.json": b"{}", "sub/deep.txt": b"deep", "sub/dir/x": b"x", "empty": b""}
ROOMS = {"refs", "snapshots", ".no_exist", "trees", "blobs"}


def repo_in(mounted: Mounted, name: str) -> Path:
    """The folder of a repo in the cache."""
    return mounted / ".hub" / name


def test_the_cache_lists_the_known_repos_and_nothing_else(shared: Mounted) -> None:
    """`ls .hub` shows the known repos; any other can be looked up, and is then known."""
    hub, before = shared.hub, names(shared / ".hub")
    for kind in ("model", "dataset", "space"):
        hub.create_repo("org/known", {"a": b"1"}, kind=kind)
    hub.create_repo("org/asked", {"a": b"1"})
    hub.create_repo("bare", {"a": b"1"})
    assert names(shared / ".hub") == before
    for path in ("org/known", "datasets/org/known", "spaces/org/known", "bare"):
        assert (shared / path).is_dir()
    known = {"models--org--known", "datasets--org--known", "spaces--org--known", "models--bare"}
    assert names(shared / ".hub") == before | known
    assert names(repo_in(shared, "models--org--asked")) == ROOMS
    assert names(shared / ".hub") == before | known | {"models--org--asked"}
    assert "asked" in names(shared / "org")


def test_the_cache_is_found_and_not_listed(shared: Mounted) -> None:
    """`.hub` is not listed in the mount's root, so that `find` and `du` meet nothing twice."""
    assert is_there(shared / ".hub")
    assert ".hub" not in names(shared.root)


def test_names_that_no_repo_can_have_cost_no_request(shared: Mounted) -> None:
    shared.hub.log.clear()
    for name in (
        "blobs",
        "tmpx7k",
        "models--",
        "models--a--b--c",
        "models---a--b",
        "kernels--a--b",
    ):
        assert not is_there(repo_in(shared, name))
    assert len(shared.hub.log) == 0


def test_a_repo_that_the_hub_does_not_have_is_absent(shared: Mounted) -> None:
    for _ in range(3):
        assert not is_there(repo_in(shared, "models--layout--absent"))
    assert len(shared.hub.log.requests(path_contains="layout/absent")) == 1


def test_files_in_the_cache_are_those_of_the_repo(shared: Mounted) -> None:
    """A file in `.hub` is the one in `org/name`: the same inode, the same bytes, fetched once."""
    commit = shared.hub.create_repo("layout/same", FILES)
    here, there = (
        repo_in(shared, f"models--layout--same/snapshots/{commit}"),
        shared / "layout/same",
    )
    sizes = {path: len(data) for path, data in FILES.items()}
    assert sizes_below(here) == sizes_below(there) == sizes
    for path in FILES:
        assert (here / path).stat().st_ino == (there / path).stat().st_ino
    assert (here / "sub").stat().st_ino != (there / "sub").stat().st_ino  # the kernel's rule
    assert (here / "sub/deep.txt").read_bytes() == b"deep"
    shared.hub.log.clear()
    assert (there / "sub/deep.txt").read_bytes() == b"deep"
    assert len(shared.hub.log) == 0
    assert os.getxattr(here / "sub", "user.hubfs.commit").decode() == commit


def test_every_path_is_either_there_or_known_to_be_absent(shared: Mounted) -> None:
    """`.no_exist/<commit>/<path>` is an empty file for every path that the commit does not have.

    Of names that it does not have, those with a dot are taken for files and
    the others for directories.
    """
    commit = shared.hub.create_repo("layout/absences", FILES)
    absences = repo_in(shared, f"models--layout--absences/.no_exist/{commit}")
    assert absences.is_dir()
    shared.hub.log.clear()
    for path in ("a.json", "sub/a.json", "sub/dir/a.b", "no/a.json", "sub/dir/no/no/a.json"):
        assert (absences / path).is_file()
        assert (absences / path).read_bytes() == b""
    for path in (*FILES, "config.json/a.json", "a.json/b.json"):
        assert not is_there(absences / path)
    for path in ("sub", "sub/dir", "no", "no/where"):
        assert names(absences / path) == set()
    assert len(shared.hub.log) == 0


def test_refs_say_where_branches_are(shared: Mounted) -> None:
    """`refs/<name>` holds the commit that a branch, a tag or a pull request is at.

    One that is not known is asked for when it is looked up.
    """
    hub, refs = shared.hub, repo_in(shared, "models--layout--named/refs")
    main = hub.create_repo("layout/named", FILES)
    dev = hub.push("layout/named", {"a": b"1"}, "main")
    hub.create_branch("layout/named", "deep/er/branch", main)
    hub.create_branch("layout/named", "refs/pr/1", main)
    hub.create_tag("layout/named", "v1", main)
    assert names(refs) == {"main"}
    for name, commit in {
        "main": dev,
        "v1": main,
        "deep/er/branch": main,
        "refs/pr/1": main,
    }.items():
        assert (refs / name).read_text() == commit
        assert (refs / name).stat().st_size == 40
    assert (refs / dev[:8]).read_text() == dev
    hub.log.clear()
    assert names(refs) == {"main", "v1", "deep", "refs", dev[:8]}
    assert names(refs / "deep/er") == {"branch"}
    assert names(refs / "refs/pr") == {"1"}
    assert names(refs.parent / "snapshots") == {main, dev}
    for name in (dev, "main.1a2b3c4d.tmp", "..", "a b", "main.lock"):  # no branch is called that
        assert not (refs / name).is_file()
    assert len(hub.log) == 0


def test_a_branch_that_the_hub_does_not_have_is_absent(shared: Mounted) -> None:
    shared.hub.create_repo("layout/branches", FILES)
    refs = repo_in(shared, "models--layout--branches/refs")
    assert not is_there(refs / "absent")
    assert not is_there(refs / "absent/too")


@pytest.fixture(scope="module")
def restless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount that checks names behind each lookup."""
    scratch = tmp_path_factory.mktemp("restless")
    with LocalHub() as hub, Mounted(hub, scratch, "--metadata-ttl", "0") as mounted:
        yield mounted


def test_a_ref_follows_its_branch_as_names_do(restless: Mounted) -> None:
    """Refs are checked again behind a lookup once they are `--metadata-ttl` old, as names are.

    The commit that a ref is at is always in `snapshots`, and so is every other that is known.
    """
    hub = restless.hub
    first = hub.create_repo("acme/moving", {"a": b"1"})
    repo = repo_in(restless, "models--acme--moving")
    with (repo / "refs/main").open() as held:
        assert (repo / "refs/main").read_text() == first
        second = hub.push("acme/moving", {"a": b"22"})
        wait_until(lambda: (repo / "refs/main").read_text() == second)
        assert held.read() == first  # what is open keeps what it was opened with
    assert names(repo / "snapshots") == {first, second}
    assert (repo / "snapshots" / first / "a").read_bytes() == b"1"
    assert (repo / "snapshots" / second / "a").read_bytes() == b"22"
    wait_until(lambda: (restless / "acme/moving/a").read_bytes() == b"22")


def test_what_is_known_is_there_without_the_hub(mount: Mount, hub: LocalHub) -> None:
    """What is known of a repo is in `.hub` after a remount too, whether the Hub answers or not."""
    commit = hub.create_repo("acme/kept", FILES)
    hub.create_branch("acme/kept", "feature/x")
    hub.add_alias("old", "acme/kept")
    mounted = mount()
    repo, alias = repo_in(mounted, "models--acme--kept"), repo_in(mounted, "models--old")
    assert (repo / "refs/feature/x").read_text() == commit
    assert (repo / f"snapshots/{commit}/sub/deep.txt").read_bytes() == b"deep"
    before = [alias.stat().st_ino, (repo / "refs/main").stat().st_ino, repo.stat().st_ino]
    hub.down()
    mounted.remount("--offline")
    assert [alias.stat().st_ino, (repo / "refs/main").stat().st_ino, repo.stat().st_ino] == before
    assert names(mounted / ".hub") == {"models--acme--kept"}
    assert (alias / "refs/feature/x").read_text() == commit
    assert (alias / f"snapshots/{commit}/sub/deep.txt").read_bytes() == b"deep"
    assert names(repo / "snapshots") == {commit}
    assert (repo / f".no_exist/{commit}/absent.json").is_file()
    assert errno_of(os.stat, repo_in(mounted, "models--acme--unknown")) == "EIO"
    assert errno_of(os.stat, repo / "refs/unknown") == "EIO"


def test_other_names_of_a_repo_lead_to_it(shared: Mounted) -> None:
    """A legacy, renamed or differently spelt name is a symlink, found and not listed."""
    hub = shared.hub
    commit = hub.create_repo("layout/now", FILES)
    hub.add_alias("layout-then", "layout/now")
    for name in ("models--layout-then", "models--Layout--NOW"):
        assert link(repo_in(shared, name)) == "models--layout--now"
        assert (repo_in(shared, name) / "refs/main").read_text() == commit
        assert name not in names(shared / ".hub")


def test_a_repo_that_was_renamed_while_it_was_known_becomes_a_link(restless: Mounted) -> None:
    hub = restless.hub
    hub.create_repo("acme/before", {"a": b"1"})
    old = repo_in(restless, "models--acme--before")
    assert (old / "refs/main").is_file()
    hub.rename_repo("acme/before", "acme/after")
    commit = hub.push("acme/after", {"a": b"2"})
    wait_until(lambda: (old / "refs/main").is_file() and old.is_symlink())
    assert link(old) == "models--acme--after"
    assert old.name not in names(restless / ".hub")
    assert "models--acme--after" in names(restless / ".hub")
    wait_until(lambda: (old / "refs/main").read_text() == commit)


def test_nothing_can_be_written_and_what_clients_would_write_is_there(shared: Mounted) -> None:
    """`.hub` is read-only. Locks' folders, `CACHEDIR.TAG` and `version.txt` are there unlisted."""
    commit = shared.hub.create_repo("layout/written", FILES)
    hub, repo = shared / ".hub", repo_in(shared, "models--layout--written")
    for path in (repo / "refs/main", repo / f".no_exist/{commit}/a.json", hub / "CACHEDIR.TAG"):
        assert path.is_file()
        assert errno_of(path.write_bytes, b"") == "EROFS"
    for path in (
        repo / "blobs",
        repo / "trees",
        hub / ".locks",
        hub / ".locks/models--layout--b.c",
    ):
        path.mkdir(parents=True, exist_ok=True)
        assert names(path) == set()
        assert errno_of((path / "new").touch) == "EROFS"
    assert (hub / "version.txt").read_text() == "1"
    assert (
        (hub / "CACHEDIR.TAG")
        .read_bytes()
        .startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_backups_pass_the_cache_over(shared: Mounted, tmp_path: Path) -> None:
    commit = shared.hub.create_repo("layout/tagged", FILES)
    assert (repo_in(shared, f"models--layout--tagged/snapshots/{commit}")).is_dir()
    archive = tmp_path / "a.tar"
    tar = ["tar", "--exclude-caches-all", "--file", str(archive), "--directory", str(shared.root)]
    subprocess.run([*tar, "--create", ".hub"], check=True, capture_output=True)
    listed = subprocess.run([*tar, "--list"], check=True, capture_output=True)
    assert listed.stdout == b""


def test_the_listing_of_a_commit_is_what_the_client_would_write(
    shared: Mounted, client: Client
) -> None:
    commit = shared.hub.create_repo("layout/listed", {**FILES, "m.safetensors": b"\0" * 200_000})
    ordinary = f"snapshot_download('layout/listed', cache_dir='{client.home}/ordinary')"
    tree = "sorted(map(str, get_cached_repo_tree('layout/listed', cache_dir={})))"
    downloaded, theirs, ours = client.ask(
        ordinary, tree.format(f"'{client.home}/ordinary'"), tree.format(None)
    )
    assert downloaded.path.is_dir()
    assert len(theirs.value) == len(FILES) + 1
    assert theirs == ours
    assert commit in names(repo_in(shared, "models--layout--listed/snapshots"))


@pytest.mark.parametrize("count", [MOST_FILES_LISTED, MOST_FILES_LISTED + 1])
def test_the_listing_of_a_very_large_commit_is_left_to_the_hub(shared: Mounted, count: int) -> None:
    commit = shared.hub.create_repo(f"layout/large{count}", {f"{n}": b"" for n in range(count)})
    listing = repo_in(shared, f"models--layout--large{count}/trees/{commit}.json")
    assert is_there(listing) == (count <= MOST_FILES_LISTED)
    assert not is_there(listing.with_name("absent.json"))
