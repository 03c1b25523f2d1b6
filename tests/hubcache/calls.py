"""Calls of huggingface_hub in a process of their own: expressions in, outcomes as JSON out.

    python -m tests.hubcache.calls EXPRESSION...

Whichever version comes first on the path is asked; nothing of it is changed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import huggingface_hub


def scanned() -> dict[str, Any]:
    """What `scan_cache_dir` sees: of each repo its files, bytes and the refs by their commits."""
    found = huggingface_hub.scan_cache_dir()
    assert not found.warnings, found.warnings
    return {
        f"{repo.repo_type}/{repo.repo_id}": [
            repo.nb_files,
            repo.size_on_disk,
            {each.commit_hash: sorted(each.refs) for each in repo.revisions},
        ]
        for repo in found.repos
    }


class Names(dict[str, Any]):
    """All names of huggingface_hub, which loads them when they are asked for."""

    def __missing__(self, name: str) -> Any:
        try:
            return getattr(huggingface_hub, name)
        except AttributeError:
            raise KeyError(name) from None


def outcome_of(expression: str) -> tuple[Any, list[str]]:
    """The value, or the names of the error's classes."""
    try:
        return eval(expression, {"scanned": scanned}, Names()), []
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return str(error), [each.__name__ for each in type(error).__mro__]


if __name__ == "__main__":
    outcomes = [outcome_of(expression) for expression in sys.argv[1:]]
    sys.stdout.write(json.dumps(outcomes, default=lambda value: f"{type(value)}"))
