"""Names: which there are, what they mean, and which cost a request."""

from __future__ import annotations

import os

import pytest

from tests.localhub.content import KINDS
from tests.mount.conftest import Mount
from tests.mount.looking import is_there, link, names
from tests.mount.mounted import Mounted

PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


def test_every_repo_is_a_directory_with_all_its_files(shared: Mounted) -> None:
    """Every repo is a directory `org/name`, and every file of its default revision is in it."""
    files = {"config.json": b"{}", "model.safetensors": b"w" * 99, "sub/dir/vocab.txt": b"a"}
    shared.hub.create_repo("tree/repo", files)
    root = shared / "tree/repo"
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == set(files)


def test_a_revision_is_named_after_an_at_sign(shared: Mounted) -> None:
    """`org/name@REV` is the repo at a branch, a tag, a short or full commit hash, or a ref.

    A `/` in REV is written `%2F`: `name@refs%2Fpr%2F1`.
    """
    hub, repo = shared.hub, "tree/revisions"
    first = hub.create_repo(repo, {"which": b"first"})
    hub.create_tag(repo, "v1")
    for ref, content in (("refs/pr/1", b"proposed"), ("dev/new", b"branch")):
        hub.create_branch(repo, ref)
        hub.push(repo, {"which": content}, ref)
    hub.push(repo, {"which": b"second"})
    expected = {
        "": b"second",
        "@main": b"second",
        "@v1": b"first",
        f"@{first}": b"first",
        f"@{first[:8]}": b"first",
        "@refs%2Fpr%2F1": b"proposed",
        "@refs%2fpr%2f1": b"proposed",
        "@dev%2Fnew": b"branch",
    }
    found = {name: (shared / f"{repo}{name}/which").read_bytes() for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        ("ветка", "ветка"),
        ("100%", "100%25"),
        ("a%2Fb", "a%252Fb"),
        ("a#b+c&d", "a#b+c&d"),
        ("x@y", "x@y"),
    ],
)
def test_a_revision_may_have_any_name_that_git_accepts(
    shared: Mounted, branch: str, name: str
) -> None:
    """A `%` in REV is written `%25`; everything else stands for itself."""
    hub, repo = shared.hub, f"tree/branch-{len(branch)}{ord(branch[0])}"
    hub.create_repo(repo, {"which": b"main"})
    hub.create_branch(repo, branch)
    hub.push(repo, {"which": branch.encode()}, branch)
    assert (shared / f"{repo}@{name}/which").read_bytes() == branch.encode()


def test_datasets_and_spaces_have_directories_of_their_own(shared: Mounted) -> None:
    """Datasets are below `datasets/`, Spaces below `spaces/`."""
    for kind in KINDS:
        shared.hub.create_repo("tree/same", {"kind": kind.encode()}, kind=kind)
    for kind in KINDS:
        assert (shared / f"{PREFIXES[kind]}tree/same/kind").read_bytes() == kind.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_legacy_name_is_a_symlink_to_the_repo_of_today(shared: Mounted, kind: str) -> None:
    """A legacy, renamed or differently spelt name is a symlink to the canonical one."""
    shared.hub.create_repo(f"{kind}-community/gpt2", {"config.json": b"{}"}, kind=kind)  # type: ignore[arg-type]
    shared.hub.add_alias(f"gpt2-{kind}", f"{kind}-community/gpt2", kind=kind)  # type: ignore[arg-type]
    path = shared / f"{PREFIXES[kind]}gpt2-{kind}"
    assert link(path) == f"{kind}-community/gpt2"
    assert (path / "config.json").read_bytes() == b"{}"
    assert path.name in names(path.parent)


def test_a_renamed_repo_is_found_under_its_old_name(shared: Mounted) -> None:
    hub = shared.hub
    commit = hub.create_repo("tree-old/before", {"config.json": b"{}"})
    hub.create_repo("tree-old/other", {"config.json": b"{}"})
    hub.rename_repo("tree-old/before", "tree-new/after")
    assert link(shared / "tree-old/before") == "../tree-new/after"
    assert (shared / "tree-old/before/config.json").read_bytes() == b"{}"
    assert link(shared / f"tree-old/before@{commit}") == f"../tree-new/after@{commit}"


def test_an_organisation_that_is_empty_by_now_still_has_the_names_that_are_known(
    shared: Mounted,
) -> None:
    """The kernel asks for the organisation first.

    Of an organisation that has no repos any more the Hub does not say that it had some:
    `hubfs register` makes such a name known.
    """
    hub = shared.hub
    hub.create_repo("tree-left/before", {"config.json": b"{}"})
    hub.rename_repo("tree-left/before", "tree-gone/after")
    register = ("register", "tree-left/before", "--wait", "--cache-dir", str(shared.cache))
    assert shared.hubfs(*register).returncode == 0
    assert link(shared / "tree-left/before") == "../tree-gone/after"
    assert (shared / "tree-left/before/config.json").read_bytes() == b"{}"


def test_a_name_in_another_case_is_a_symlink(shared: Mounted) -> None:
    shared.hub.create_repo("Tree-Case/Model", {"config.json": b"{}"})
    assert (shared / "Tree-Case/MODEL/config.json").read_bytes() == b"{}"
    assert link(shared / "Tree-Case/MODEL") == "Model"
    assert link(shared / "Tree-Case/MODEL@main") == "Model@main"


def test_an_organisation_in_another_case_is_a_symlink(shared: Mounted) -> None:
    shared.hub.create_repo("Tree-Org/model", {"config.json": b"{}"})
    assert link(shared / "tree-org") == "Tree-Org"
    assert (shared / "tree-org/model/config.json").read_bytes() == b"{}"


def test_a_repo_without_an_organisation_stands_at_the_top(shared: Mounted) -> None:
    shared.hub.create_repo("bare-repo", {"config.json": b"{}"})
    assert (shared / "bare-repo/config.json").read_bytes() == b"{}"
    assert (shared / "bare-repo@main/config.json").read_bytes() == b"{}"
    assert "bare-repo" in names(shared.root)


def test_what_is_known_is_listed_and_what_is_not_is_found(mount: Mount) -> None:
    """`ls` of the mountpoint and of an organisation shows the repos that are known here.

    Any other name can be looked up at any time, and is known from then on.
    """
    mounted = mount()
    mounted.hub.create_repo("acme/one", {"a": b""})
    mounted.hub.create_repo("acme/two", {"a": b""})
    mounted.hub.create_repo("acme/data", {"a": b""}, kind="dataset")
    assert names(mounted.root) == {"datasets", "spaces"}
    assert (mounted / "acme/one").is_dir()
    assert names(mounted.root) == {"acme", "datasets", "spaces"}
    assert names(mounted / "acme") == {"one"}
    assert (mounted / "acme/two@main").is_dir()
    assert names(mounted / "acme") == {"one", "two@main"}
    assert names(mounted / "datasets") == set()
    assert (mounted / "datasets/acme/data").is_dir()
    assert names(mounted / "datasets") == {"acme"}


REFUSED = [".git", ".Trash-0", "a--b", "x.git", ".hidden", "a..b", "-a", "a b", "ä", "autorun.inf"]


@pytest.mark.parametrize("where", ["", "grammar/", "datasets/", "spaces/", "datasets/grammar/"])
def test_a_name_that_no_repo_can_have_costs_no_request(shared: Mounted, where: str) -> None:
    """Names that no repo can have (`.git`, `.Trash-0`, `a--b`) are absent without a request."""
    shared.hub.create_repo("grammar/known", {"a": b""})
    shared.hub.create_repo("grammar/known", {"a": b""}, kind="dataset")
    assert (shared / "grammar").is_dir()
    assert (shared / "datasets/grammar").is_dir()
    shared.hub.log.clear()
    impossible = [*REFUSED, "known@", "known@a b", "known@a..b", "known@-x", "known@x.lock"]
    assert not [name for name in impossible if is_there(shared / f"{where}{name}")]
    assert len(shared.hub.log) == 0


def test_a_name_that_is_not_utf8_is_absent(shared: Mounted) -> None:
    shared.hub.log.clear()
    for name in (b"/\xff\xfe", b"/grammar/\xff", b"/datasets/\xff"):
        assert not os.path.lexists(os.fsencode(shared.root) + name)
    assert not [each for each in shared.hub.log if "author=grammar" not in each.target]


def test_an_organisation_is_there_if_the_hub_says_so(shared: Mounted) -> None:
    """An organisation is there if one of its repos is known here, or if the Hub has one."""
    shared.hub.create_repo("unvisited/repo", {"a": b""})
    assert (shared / "unvisited").is_dir()
    assert names(shared / "unvisited") == set()
    assert not (shared / "no-such-organisation").exists()


def test_dot_and_dotdot_lead_where_they_should(shared: Mounted) -> None:
    shared.hub.create_repo("tree/dots", {"sub/a": b"x"})
    assert (shared / "tree/dots/sub/./../sub/../../dots/sub/a").read_bytes() == b"x"
