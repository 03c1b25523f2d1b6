"""How the Hub client's cache spells repos: `models--org--name`. Pure.

No part of a repo's name contains `--` or ends in `-`, so a spelling has one meaning.
"""

from __future__ import annotations

from typing import Final

from hubfs.model.identifiers import RepoId, RepoKind, is_name_part

_SEPARATOR: Final = "--"
_KINDS: Final = {kind.value: kind for kind in RepoKind}


def folder_of(repo: RepoId) -> str:
    """The name of the folder that holds `repo`."""
    return _SEPARATOR.join((repo.kind.value, *repo.name.split("/")))


def find_folder_repo(folder: str) -> RepoId | None:
    """The repo whose folder is called `folder`; None when no repo's is."""
    kind, *parts = folder.split(_SEPARATOR)
    if kind not in _KINDS or len(parts) not in {1, 2} or not all(map(is_name_part, parts)):
        return None
    return RepoId(_KINDS[kind], "/".join(parts))
