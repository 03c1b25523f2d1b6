"""What bytes must be: a content is a promise made by a listing, checked against what arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hubfs.model.text import shown

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    r"""Bytes known by hash before they are here.

    LFS files are promised by sha256, all others by their git blob id,
    sha1 over `blob <size>\0` and the bytes. Exactly one of the two is set.
    """

    size: int
    sha256: str | None = None
    git_oid: str | None = None

    @property
    def key(self) -> str:
        """A file-name-safe identity.

        The size is part of it, so that a lying listing cannot make two files
        of different sizes share one partial.
        """
        algorithm, digest = ("sha256", self.sha256) if self.sha256 else ("git", self.git_oid)
        return f"{algorithm}-{digest}-{self.size}"

    @classmethod
    def from_key(cls, key: str) -> Content:
        """Read a `key` back.

        Raises:
            ValueError: `key` is not one.
        """
        algorithm, digest, size = key.split("-")
        if algorithm == "sha256":
            return cls(int(size), sha256=digest)
        if algorithm == "git":
            return cls(int(size), git_oid=digest)
        raise ValueError(f"not a content key: {key}")


@dataclass(frozen=True, slots=True)
class Source:
    """One place on the Hub that has a content: a path in a commit."""

    repo_path: str
    commit: str
    path: str

    def __str__(self) -> str:
        return f"{self.repo_path}@{self.commit[:12]}/{shown(self.path)}"
