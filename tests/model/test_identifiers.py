from __future__ import annotations

import subprocess

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubfs.model.identifiers import (
    MAX_REVISION_BYTES,
    RepoId,
    RepoKind,
    RevisionName,
    decode_revision,
    encode_revision,
    find_revision_name,
    is_commit,
    is_name_part,
    is_repo_name,
    is_revision,
)

PROBES = ["autorun.inf", "desktop.ini", "Thumbs.db", "lost+found"]

# Letters that the grammars care about come often, all others sometimes.
names = st.text("aZ0-_.", max_size=8) | st.text(max_size=4) | st.text("ab", max_size=100)
repo_names = names | st.tuples(names, names).map("/".join) | st.text("a/.-", max_size=8)
revisions = st.text("ab/%25Ff.@-", min_size=1, max_size=12) | st.text(min_size=1, max_size=8)


def is_repo_name_to_huggingface_hub(text: str) -> bool:
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


def is_revision_to_git(text: str) -> bool:
    command = ["git", "check-ref-format", f"refs/heads/{text}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def is_refused_by_us_alone(text: str) -> bool:
    """A probe's name; an organisation that would be read as a git directory; an id like that."""
    parts = text.split("/")
    return any(part.lower() in PROBES or part.endswith(".git") for part in parts)


@given(repo_names)
@example("a" * 96 + "/" + "b" * 96)
@example("a" * 97)
@example("a/b/c")
@example("a--b")
@example("é")
@example("a\n")
@example("")
def test_a_repo_name_is_what_huggingface_hub_takes_for_one(text: str) -> None:
    expected = is_repo_name_to_huggingface_hub(text) and not is_refused_by_us_alone(text)
    assert is_repo_name(text) == expected


@pytest.mark.parametrize("name", [*PROBES, ".git", ".Trash-0", ".hidden", "x.git", ".DS_Store"])
def test_names_that_desktops_probe_for_are_no_repos(name: str) -> None:
    assert not is_name_part(name)
    assert find_revision_name(name) is None


def test_a_repo_knows_its_parts() -> None:
    repo = RepoId(RepoKind.DATASET, "acme/tiny")
    assert (repo.org, repo.base, str(repo)) == ("acme", "tiny", "datasets/acme/tiny")


def test_a_legacy_name_has_no_organisation() -> None:
    repo = RepoId(RepoKind.MODEL, "gpt2")
    assert (repo.org, repo.base, str(repo)) == ("", "gpt2", "gpt2")


@given(revisions)
@settings(max_examples=300)
@example("@")
@example("a@b")
@example("a/.b")
@example("refs/pr/1")
@example("a.lock/b")
@example("-a")
def test_a_revision_is_what_git_takes_for_one(text: str) -> None:
    if "\0" in text:
        assert not is_revision(text)
        return
    # `refs/heads/@` and `refs/heads/-a` pass as paths; as names of branches git refuses both.
    is_no_branch = text == "@" or text.startswith("-")
    assert is_revision(text) == (is_revision_to_git(text) and not is_no_branch)


def test_a_revision_is_at_most_two_hundred_bytes() -> None:
    assert is_revision("é" * (MAX_REVISION_BYTES // 2))
    assert not is_revision("é" * (MAX_REVISION_BYTES // 2) + "a")


def test_a_name_that_is_not_utf8_is_no_revision() -> None:
    assert not is_revision(b"\xff".decode("utf-8", "surrogateescape"))
    assert not is_revision("\ud800")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0" * 40, True), ("a" * 39, False), ("A" * 40, False), ("a" * 40 + "\n", False)],
)
def test_a_commit_is_forty_lower_case_hex_digits(text: str, *, expected: bool) -> None:
    assert is_commit(text) is expected


@given(revisions)
@example("%2F")
@example("%25")
@example("%252F")
@example("a%2/F")
@example("%/25")
def test_a_revision_reads_back_from_its_spelling(revision: str) -> None:
    encoded = encode_revision(revision)
    assert "/" not in encoded
    assert decode_revision(encoded) == revision


def test_a_lower_case_escape_is_read_too() -> None:
    assert decode_revision("refs%2fpr%2F1") == "refs/pr/1"


def test_a_percent_sign_that_escapes_nothing_stands_for_itself() -> None:
    assert decode_revision("100%") == "100%"
    assert decode_revision("a%20b") == "a%20b"


@given(names.filter(is_name_part), revisions.filter(is_revision) | st.just(""))
def test_a_directory_name_reads_back_as_the_revision_it_was_made_of(
    base: str, revision: str
) -> None:
    name = RevisionName(base, revision)
    assert find_revision_name(str(name)) == name


@pytest.mark.parametrize("text", ["", "@", "@main", "a@", "a@-b", "a--b@main", "a/b", "a@b..c"])
def test_what_no_repo_can_be_called_is_refused(text: str) -> None:
    assert find_revision_name(text) is None


def test_only_the_first_at_sign_separates() -> None:
    assert find_revision_name("a@b@c") == RevisionName("a", "b@c")
