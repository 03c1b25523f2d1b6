"""Proofs that what was read is what the hub has; each is a phrase for the report, or a refusal."""

from __future__ import annotations

from pathlib import Path

from scripts.benchmark.processes import ask
from scripts.benchmark.rows import NotVerified
from scripts.benchmark.sources import Source, sha256_of


def whole(path: Path, source: Source) -> str:
    """Compare every byte, by hash.

    Raises:
        NotVerified: they differ.
    """
    return equal(sha256_of(path), source.sha256, f"sha256 of {path.name}")


def samples(path: Path, source: Source) -> str:
    """Compare the length and some hundred pages.

    Raises:
        NotVerified: they differ.
    """
    found, wanted = (ask("readers", "sample", each)["digest"] for each in (path, source.path))
    return equal(found, wanted, f"size and sampled pages of {path.name}")


def equal(found: object, wanted: object, what: str) -> str:
    """Compare what two readers made of it.

    Raises:
        NotVerified: they differ.
    """
    if found != wanted:
        raise NotVerified(f"{what}: {str(found)[:80]} came, {str(wanted)[:80]} was expected")
    return what
