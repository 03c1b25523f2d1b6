"""Whether others can read what is secret here. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hubfs.daemon.diagnosis.verdicts import Verdict, fine, noted


def judge_secrets(exposed: Sequence[Path]) -> Iterator[Verdict]:
    """Whether all files with secrets are for their owners alone; `exposed` are those that are not.

    Those are used all the same: they may be meant for a group.
    """
    for file in exposed:
        yield noted("secrets", f"others may read {file}, which holds secrets", f"chmod 600 {file}")
    if not exposed:
        yield fine("secrets", "no file of settings or of a token shows them to others")
