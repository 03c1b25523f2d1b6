from __future__ import annotations

import pytest
from huggingface_hub.file_download import repo_folder_name
from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.folders import find_folder_repo, folder_of
from hubfs.model.identifiers import RepoId, RepoKind, is_repo_name

parts = st.text("aZ0-_.", min_size=1, max_size=8)
names = (parts | st.tuples(parts, parts).map("/".join)).filter(is_repo_name)
repos = st.builds(RepoId, st.sampled_from(RepoKind), names)


@given(repos)
def test_a_folder_is_called_as_huggingface_hub_calls_it(repo: RepoId) -> None:
    kind = repo.kind.value.removesuffix("s")
    assert folder_of(repo) == repo_folder_name(repo_id=repo.name, repo_type=kind)


@given(repos)
def test_a_folder_leads_back_to_its_repo(repo: RepoId) -> None:
    assert find_folder_repo(folder_of(repo)) == repo


@given(st.text("models-dat/.g", max_size=24))
def test_what_is_found_is_called_so(folder: str) -> None:
    found = find_folder_repo(folder)
    assert found is None or folder_of(found) == folder


@pytest.mark.parametrize(
    "folder",
    ["", "blobs", "models", "models--", "models--a--b--c", "models---a", "models--a/b", "x--a--b"],
)
def test_other_folders_hold_no_repo(folder: str) -> None:
    assert find_folder_repo(folder) is None
