"""How the Hub client's cache spells repos: `models--org--name`. Pure.

No part of a repo's name contains `--` or ends in `-`, so a spelling has one meaning.
"""

from __future__ import annotations

from typing import Final

from hubfs.model.identifiers import RepoId, RepoKind, is_repo_name

_SEPARATOR: Final = "--"
_KINDS: Final = {kind.value: kind for kind in RepoKind}


def folder_of(repo: RepoId) -> str:
    """The name of the folder that holds `repo`."""
    return _SEPARATOR.join((repo.kind.value, *repo.name.split("/")))


def find_folder_repo(folder: str) -> RepoId | None:
    """The repo whose folder is called `folder`; None when no repo's is."""
    kind, *parts = folder.split(_SEPARATOR)
    name = "/".join(parts)
    if kind not in _KINDS or not is_repo_name(name):
        return None
    return RepoId(_KINDS[kind], name)
