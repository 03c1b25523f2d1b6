from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.content import Content, Source


def digests(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


contents = st.one_of(
    st.builds(Content, st.integers(0, 1 << 62), sha256=digests(32)),
    st.builds(Content, st.integers(0, 1 << 62), git_oid=digests(20)),
)


@given(contents)
def test_a_key_reads_back_as_the_content_it_was_made_of(content: Content) -> None:
    assert Content.from_key(content.key) == content


@given(contents, contents)
def test_different_contents_have_different_keys(one: Content, other: Content) -> None:
    assert (one.key == other.key) == (one == other)


@given(contents)
def test_a_key_is_safe_as_a_file_name(content: Content) -> None:
    assert set(content.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(content.key) <= 255


@pytest.mark.parametrize("key", ["", "sha256", "sha256-ab", "md5-ab-1", "git-ab-x", "git-ab--1"])
def test_what_is_not_a_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - int's own sentence in half the cases
        Content.from_key(key)


def test_a_source_names_its_repo_commit_and_path() -> None:
    source = Source("datasets/acme/tiny", "0123456789abcdef" * 2 + "01234567", "a/b.json")
    assert str(source) == "datasets/acme/tiny@0123456789ab/a/b.json"
