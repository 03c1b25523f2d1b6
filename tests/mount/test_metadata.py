"""What is known of a repo's tree, for how long, and what asking for it costs."""

from __future__ import annotations

import os

import pytest

from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import is_there, link, names, sizes_below
from tests.mount.mounted import Mounted
from tests.mount.waiting import wait_until

SIZES = {"config.json": 2, "model.safetensors": 70_000, "sub/dir/deep.bin": 5, "empty": 0}


def create(hub: LocalHub, repo: str) -> str:
    return hub.create_repo(repo, {path: b"x" * size for path, size in SIZES.items()})


def test_after_the_first_touch_no_question_about_a_tree_costs_a_request(shared: Mounted) -> None:
    """A revision's tree is asked for once, whole.

    From then on lookup, stat, ls and find need no request, for absent names too.
    """
    create(shared.hub, "meta/files")
    assert (shared / "meta/files").is_dir()
    shared.hub.log.clear()
    assert sizes_below(shared / "meta/files") == SIZES
    for absent in ("pytorch_model.bin", "sub/absent", "sub/dir/absent/deeper", ".git/config"):
        assert not is_there(shared / "meta/files" / absent)
    assert len(shared.hub.log) == 0


def test_a_known_tree_needs_no_hub_after_a_remount(mount: Mount, hub: LocalHub) -> None:
    """So it is after a remount, whether the Hub answers or not."""
    commit = create(hub, "meta/remounted")
    hub.create_repo("meta/aliased", {"a": b""})
    hub.create_repo("bare", {"a": b"x"})
    hub.add_alias("old", "meta/aliased")
    mounted = mount()
    roots = ["meta/remounted", "meta/remounted@main", f"meta/remounted@{commit}", "old", "bare"]
    before = {root: sizes_below(mounted / root) for root in roots}
    listed = names(mounted.root)
    hub.down()
    mounted.remount()
    assert {root: sizes_below(mounted / root) for root in roots} == before
    assert names(mounted.root) == listed
    assert not is_there(mounted / "meta/remounted/absent")


def test_stat_never_downloads(shared: Mounted) -> None:
    """`stat`, `ls -l` and `find` never download a byte of a file."""
    create(shared.hub, "meta/stat")
    sizes_below(shared / "meta/stat")
    for path in (shared / "meta/stat").rglob("*"):
        os.listxattr(path)
    assert shared.hub.log.content_bytes("meta/stat/model.safetensors") == 0
    assert not shared.hub.log.requests(path_contains="meta/stat/resolve")


def test_a_listing_of_several_pages_is_whole(shared: Mounted) -> None:
    shared.hub.page_size = 7
    try:
        shared.hub.create_repo("meta/pages", {f"d{n % 3}/{n:03}": b"" for n in range(100)})
        assert len(sizes_below(shared / "meta/pages")) == 100
    finally:
        shared.hub.page_size = 1000


@pytest.mark.parametrize("name", ["absent-org", "meta/absent", "datasets/absent-org"])
def test_an_absent_name_is_asked_for_once(shared: Mounted, name: str) -> None:
    """What the Hub does not have is absent, and for the next minute nobody asks again."""
    shared.hub.create_repo("meta/present", {"a": b""})
    assert (shared / "meta").is_dir()
    shared.hub.log.clear()
    assert not is_there(shared / name)
    asked = len(shared.hub.log)
    for _ in range(100):
        assert not is_there(shared / name)
        assert not is_there(shared / name / "config.json")
    assert len(shared.hub.log) == asked <= 2


def test_an_absent_revision_is_asked_for_once(shared: Mounted) -> None:
    shared.hub.create_repo("meta/revisions", {"a": b""})
    assert (shared / "meta/revisions").is_dir()
    shared.hub.log.clear()
    for _ in range(100):
        assert not is_there(shared / "meta/revisions@absent")
    assert len(shared.hub.log) == 1


def test_a_name_is_checked_again_once_it_is_old_enough(mount: Mount, hub: LocalHub) -> None:
    """A branch that was last checked `--metadata-ttl` ago is checked again behind a lookup.

    Names keep their meaning meanwhile, and change it all at once.
    """
    hub.create_repo("meta/moving", {"a": b"1", "b": b"1"})
    mounted = mount("--metadata-ttl", "0")
    assert (mounted / "meta/moving/a").read_bytes() == b"1"
    hub.push("meta/moving", {"a": b"22", "b": b"22", "c": b"22"})
    wait_until((mounted / "meta/moving/c").exists)
    assert sizes_below(mounted / "meta/moving") == {"a": 2, "b": 2, "c": 2}
    hub.push("meta/moving", {"c": None})
    wait_until(lambda: not (mounted / "meta/moving/c").exists())
    assert (mounted / "meta/moving/a").read_bytes() == b"22"


def test_a_young_name_is_not_checked(shared: Mounted) -> None:
    hub = shared.hub
    hub.create_repo("meta/young", {"a": b"1"})
    assert (shared / "meta/young/a").read_bytes() == b"1"
    hub.push("meta/young", {"a": b"2"})
    hub.log.clear()
    assert (shared / "meta/young/a").read_bytes() == b"1"
    assert len(hub.log) == 0


def test_a_commit_is_never_checked_again(mount: Mount, hub: LocalHub) -> None:
    """`name@<commit>`, a full hash, never changes its meaning and is never checked again."""
    commit = hub.create_repo("meta/fixed", {"a": b"1"})
    mounted = mount("--metadata-ttl", "0")
    assert (mounted / f"meta/fixed@{commit}/a").read_bytes() == b"1"
    hub.log.clear()
    for _ in range(20):
        assert (mounted / f"meta/fixed@{commit}/a").stat().st_size == 1
    mounted.remount("--metadata-ttl", "0")
    assert (mounted / f"meta/fixed@{commit}/a").read_bytes() == b"1"
    assert not hub.log.requests(path_contains=commit)


def test_a_check_that_fails_changes_nothing(mount: Mount, hub: LocalHub) -> None:
    """If the check finds no Hub, or no repo any more, what is known goes on being served."""
    create(hub, "meta/deleted")
    mounted = mount("--metadata-ttl", "0")
    assert sizes_below(mounted / "meta/deleted") == SIZES
    hub.delete_repo("meta/deleted")
    wait_until(lambda: sizes_below(mounted / "meta/deleted") != SIZES or "could not" in mounted.log)
    assert sizes_below(mounted / "meta/deleted") == SIZES
    assert "no such repo" in mounted.log


def test_a_repo_that_was_renamed_while_it_was_known_leads_to_its_new_name(
    mount: Mount, hub: LocalHub
) -> None:
    hub.create_repo("meta/before", {"a": b"1"})
    hub.create_repo("meta/other", {"a": b"1"})
    mounted = mount("--metadata-ttl", "0")
    assert (mounted / "meta/before/a").read_bytes() == b"1"
    hub.rename_repo("meta/before", "meta/after")
    hub.push("meta/after", {"a": b"2"})
    wait_until((mounted / "meta/before").is_symlink)
    assert link(mounted / "meta/before") == "after"
    assert names(mounted / "meta") == {"after", "before"}
    wait_until(lambda: (mounted / "meta/before/a").read_bytes() == b"2")
