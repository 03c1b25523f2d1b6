from datetime import UTC, datetime

import pytest

from tests.localhub.catalog import Catalog
from tests.localhub.repository import UnknownRevision


@pytest.fixture
def catalog() -> Catalog:
    catalog = Catalog()
    catalog.create_repo("acme/tiny", {"a.txt": b"a", "sub/b.txt": b"b"})
    return catalog


def test_a_push_adds_replaces_and_deletes(catalog: Catalog) -> None:
    catalog.push("acme/tiny", {"a.txt": b"new", "c.txt": b"c", "sub/b.txt": None})

    files = catalog.repo("acme/tiny").head.tree.files
    assert {path: content.source for path, content in files.items()} == {
        "a.txt": b"new",
        "c.txt": b"c",
    }


def test_an_old_commit_keeps_its_files(catalog: Catalog) -> None:
    old = catalog.repo("acme/tiny").head
    catalog.push("acme/tiny", {"a.txt": b"new"})

    assert catalog.repo("acme/tiny").resolve(old.oid).tree.files["a.txt"].source == b"a"


def test_a_commit_answers_to_all_its_names(catalog: Catalog) -> None:
    commit = catalog.push("acme/tiny", {"a.txt": b"2"})
    catalog.create_branch("acme/tiny", "feature/x")
    catalog.create_branch("acme/tiny", "refs/pr/1", commit)
    catalog.create_tag("acme/tiny", "v1.0")
    repo = catalog.repo("acme/tiny")

    names = ["main", "HEAD", "refs/heads/main", "feature/x", "refs/pr/1", "v1.0", "refs/tags/v1.0"]
    assert {repo.resolve(name).oid for name in [*names, commit, commit[:7]]} == {commit}


@pytest.mark.parametrize("revision", ["nope", "", "refs/pr/2", "0" * 40, "abc"])
def test_other_names_are_unknown(catalog: Catalog, revision: str) -> None:
    with pytest.raises(UnknownRevision):
        catalog.repo("acme/tiny").resolve(revision)


def test_a_forced_push_starts_a_new_history(catalog: Catalog) -> None:
    old = catalog.repo("acme/tiny").head
    catalog.force_push("acme/tiny", {"only.txt": b""})
    repo = catalog.repo("acme/tiny")

    assert list(repo.head.tree.files) == ["only.txt"]
    assert repo.history(repo.head) == [repo.head]
    assert repo.resolve(old.oid) is old


def test_a_forced_push_can_keep_a_common_past(catalog: Catalog) -> None:
    base = catalog.repo("acme/tiny").head
    catalog.push("acme/tiny", {"lost.txt": b""})
    catalog.force_push("acme/tiny", {"kept.txt": b""}, onto=base.oid)
    repo = catalog.repo("acme/tiny")

    assert sorted(repo.head.tree.files) == ["a.txt", "kept.txt", "sub/b.txt"]
    assert repo.history(repo.head) == [repo.head, base]


def test_a_branch_moves_alone(catalog: Catalog) -> None:
    catalog.create_branch("acme/tiny", "dev")
    catalog.push("acme/tiny", {"dev.txt": b""}, "dev")

    assert "dev.txt" not in catalog.repo("acme/tiny").head.tree.files
    catalog.delete_ref("acme/tiny", "dev")
    with pytest.raises(UnknownRevision):
        catalog.repo("acme/tiny").resolve("dev")


def test_every_run_has_the_same_commits() -> None:
    first, second = Catalog(), Catalog()

    assert first.create_repo("a/b", {"x": b""}) == second.create_repo("a/b", {"x": b""})
    assert first.push("a/b", {"y": b""}) == second.push("a/b", {"y": b""})


def test_no_two_pushes_make_the_same_commit(catalog: Catalog) -> None:
    commits = {catalog.push("acme/tiny", {"a.txt": b"same"}) for _ in range(3)}

    assert len(commits) == 3


def test_a_date_can_be_given(catalog: Catalog) -> None:
    date = datetime(2020, 1, 2, tzinfo=UTC)
    catalog.push("acme/tiny", {}, date=date)

    assert catalog.repo("acme/tiny").head.date == date


def test_ids_are_found_in_any_case_and_through_old_names(catalog: Catalog) -> None:
    catalog.rename_repo("acme/tiny", "acme/small")
    catalog.rename_repo("acme/small", "corp/small")
    catalog.add_alias("small", "corp/small")

    found = {catalog.find_repo(name, "model") for name in ("ACME/Tiny", "acme/small", "small")}
    assert found == {catalog.repo("corp/small")}


def test_names_that_lead_in_a_circle_lead_nowhere() -> None:
    catalog = Catalog()
    catalog.add_alias("a", "b")
    catalog.add_alias("b", "a")

    assert catalog.find_repo("a", "model") is None


def test_kinds_do_not_share_ids(catalog: Catalog) -> None:
    catalog.create_repo("acme/tiny", {}, kind="dataset")
    catalog.delete_repo("acme/tiny")

    assert catalog.find_repo("acme/tiny", "model") is None
    assert catalog.find_repo("acme/tiny", "dataset") is not None
