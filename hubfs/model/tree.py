"""The tree of one commit, as directories of packed entries.

Every file and directory of a commit has an *ordinal*, given breadth first, so
the children of a directory are numbered without gaps. An inode number is a
tree's number and an ordinal: finding either from the other needs no table, and
a million known inodes cost no memory. Ordinal 0 is the root of the tree.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hubfs.model.content import Content

MAX_NAME_BYTES = 255
MOST_ENTRIES = 512  # of one listing: to find a name in it is to read it, in some 50 us
MAX_PATH_BYTES = 4095  # PATH_MAX without its NUL: no program can name what is deeper
MAX_WEIGHT = 1 << 30  # three million files in directories as they usually are

# is_directory, size, git oid, sha256 (zeros: none), xet hash (zeros: none), first child.
_ROW = struct.Struct("<?Q20s32s32sI")
_HEADER = struct.Struct("<III")
# Of a listing that is a part: where the directory begins and ends.
_WHOLE = struct.Struct("<II")
_IS_PART = 1 << 31
_CONTENT = struct.Struct(f"<?Q20s32s{_ROW.size - 61}x")
_STAT = struct.Struct(f"<?Q{_ROW.size - 9}x")
_FILE, _DIRECTORY = False, True
_NO_DIGEST = bytes(32)
# What Python takes, in bytes, beside the characters of names: a row, objects, room in dicts.
_WEIGHT_OF_FILE, _WEIGHT_OF_DIRECTORY = 350, 550


class TreeFile(NamedTuple):
    """A file as a listing of the Hub states it; digests in hex."""

    path: str
    size: int
    oid: str
    sha256: str | None = None
    xet_hash: str | None = None


class Entry(NamedTuple):
    """One name in a directory. `first_child` is meaningful for directories only."""

    name: bytes
    ordinal: int
    is_directory: bool
    size: int
    oid: str
    sha256: str | None
    xet_hash: str | None
    first_child: int

    @property
    def content(self) -> Content:
        """What the file's bytes must be: an LFS file's oid is that of its pointer, not of it."""
        if self.sha256:
            return Content(self.size, sha256=self.sha256)
        return Content(self.size, git_oid=self.oid)


class Listing:
    """The entries of one directory, sorted by name. Immutable; rows are read when asked for.

    A large directory is several listings that follow each other; each knows the
    ordinals of all: `whole`.
    """

    __slots__ = ("_rows", "first", "names", "path", "whole")

    def __init__(
        self,
        path: str,
        first: int,
        names: list[bytes],
        rows: bytes,
        whole: range | None = None,
    ) -> None:
        self.path = path
        self.first = first
        self.names = names
        self.whole = whole or range(first, first + len(names))
        self._rows = rows

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.entry, range(len(self.names)))

    @property
    def files(self) -> int:
        """How many of its entries are files."""
        return self._rows[:: _ROW.size].count(_FILE)

    @property
    def weight(self) -> int:
        """Roughly the bytes of memory it takes."""
        return len(self._rows) + 80 * len(self.names) + 300

    def entry(self, position: int) -> Entry:
        """The entry at `position` in name order."""
        is_directory, size, oid, sha256, xet, child = _ROW.unpack_from(
            self._rows, position * _ROW.size
        )
        return Entry(
            self.names[position],
            self.first + position,
            is_directory,
            size,
            oid.hex(),
            _hex_or_none(sha256),
            _hex_or_none(xet),
            child,
        )

    def stat_rows(self, start: int) -> Iterator[tuple[bytes, int, tuple[bool, int]]]:
        """(name, ordinal, (is_directory, size)) from position `start` on: what readdir needs."""
        ordinals = range(self.first + start, self.first + len(self.names))
        rows = _STAT.iter_unpack(memoryview(self._rows)[start * _ROW.size :])
        return zip(self.names[start:], ordinals, rows, strict=True)

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """(size, digest) of each file: a sha256 of 32 bytes, or a git oid of 20."""
        for is_directory, size, oid, sha256 in _CONTENT.iter_unpack(self._rows):
            if not is_directory:
                yield size, oid if sha256 == _NO_DIGEST else sha256

    def find(self, name: bytes) -> Entry | None:
        """The entry called `name`, if it is in this listing."""
        position = bisect_left(self.names, name)
        if position < len(self.names) and self.names[position] == name:
            return self.entry(position)
        return None

    def path_of(self, entry: Entry) -> str:
        """The path of `entry` from the root of its repo."""
        name = entry.name.decode()
        return f"{self.path}/{name}" if self.path else name

    def pack(self) -> bytes:
        """Its stored form; `unpack` reads it."""
        path, whole = self.path.encode(), b""
        count = len(self.names)
        if count < len(self.whole):
            count |= _IS_PART
            whole = _WHOLE.pack(self.whole.start, self.whole.stop)
        header = _HEADER.pack(self.first, count, len(path))
        return b"".join((header, whole, path, self._rows, b"\0".join(self.names)))

    @classmethod
    def unpack(cls, data: bytes) -> Listing:
        """Read what `pack` wrote."""
        first, count, path_size = _HEADER.unpack_from(data)
        path_start, whole = _HEADER.size, None
        if count & _IS_PART:
            count -= _IS_PART
            whole = range(*_WHOLE.unpack_from(data, path_start))
            path_start += _WHOLE.size
        rows_start = path_start + path_size
        names_start = rows_start + count * _ROW.size
        path = data[path_start:rows_start].decode()
        names = data[names_start:].split(b"\0") if count else []
        return cls(path, first, names, data[rows_start:names_start], whole)


@dataclass(slots=True)
class TreeStats:
    """What a tree holds: files, their bytes, and names that no directory can show."""

    files: int = 0
    size: int = 0
    skipped: int = 0


class TreeBuilder:
    """Collects the files of a commit in any order and numbers them.

    Names that a file system cannot show (empty, `.`, `..`, over 255 bytes,
    with a NUL), paths over 4095 bytes, rows without a size or a hash, and a
    file that is also a directory (the first to come counts) are counted as
    skipped: one hostile name must not hide the rest of a repo.

    `weight` is roughly the bytes of memory that it takes: a path of 4 KB may
    stand for 2,000 directories, each of which has a path of its own.
    """

    def __init__(self) -> None:
        self.stats = TreeStats()
        self.weight = 0
        self._directories: dict[str, dict[bytes, bytes | None]] = {"": {}}

    def add(self, file: TreeFile) -> None:
        """Take `file` in; of two of the same path the first counts."""
        parent, _, base = file.path.rpartition("/")
        name, row = _showable_name(base), _pack_file(file)
        # Only a file that can be shown may make directories: none of them is ever empty.
        siblings = self._directory(parent) if name and row and _is_short(file.path) else None
        if siblings is None or row is None or name in siblings:
            self.stats.skipped += 1
            return
        siblings[name] = row
        self.weight += _WEIGHT_OF_FILE + len(name)
        self.stats.files += 1
        self.stats.size += file.size

    def _directory(self, path: str) -> dict[bytes, bytes | None] | None:
        known = self._directories.get(path)
        if known is not None:
            return known
        parts = path.split("/")
        names = [_showable_name(part) for part in parts]
        if not all(names):
            return None
        siblings, at = self._directories[""], ""
        for part, name in zip(parts, names, strict=True):
            if siblings.get(name) is not None:
                return None  # a file; what is above it was there before
            siblings[name] = None  # a directory: its row is known once it is numbered
            at = f"{at}/{part}" if at else part
            siblings = self._enter(at)
        return siblings

    def _enter(self, path: str) -> dict[bytes, bytes | None]:
        known = self._directories.get(path)
        if known is None:
            known = self._directories[path] = {}
            self.weight += _WEIGHT_OF_DIRECTORY + len(path)
        return known

    def listings(self, most: int = MOST_ENTRIES) -> Iterator[Listing]:
        """All directories, parents first, in listings of at most `most` entries.

        Empties the builder as it goes.
        """
        waiting = deque([("", 1)])
        following = 1 + len(self._directories[""])
        while waiting:
            path, first = waiting.popleft()
            siblings = self._directories.pop(path)
            names = sorted(siblings)
            rows = []
            for name in names:
                row = siblings[name]
                if row is None:
                    child = f"{path}/{name.decode()}" if path else name.decode()
                    row = _ROW.pack(_DIRECTORY, 0, b"", b"", b"", following)
                    waiting.append((child, following))
                    following += len(self._directories[child])
                rows.append(row)
            whole = range(first, first + len(names))
            for at in range(0, max(1, len(names)), most):
                until = at + most
                yield Listing(path, first + at, names[at:until], b"".join(rows[at:until]), whole)


def _showable_name(name: str) -> bytes:
    """The bytes of a name that a directory can show; empty for one that it cannot."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return b""
    if len(encoded) > MAX_NAME_BYTES or b"\0" in encoded or encoded in {b".", b".."}:
        return b""
    return encoded


def _is_short(path: str) -> bool:
    return not path.startswith("/") and len(path.encode(errors="replace")) <= MAX_PATH_BYTES


def _pack_file(file: TreeFile) -> bytes | None:
    try:
        oid = bytes.fromhex(file.oid)
        sha256 = bytes.fromhex(file.sha256 or "")
    except ValueError:
        return None
    if len(oid) != 20 or len(sha256) not in {0, 32} or not 0 <= file.size < 1 << 62:
        return None
    return _ROW.pack(_FILE, file.size, oid, sha256, _xet_digest(file.xet_hash), 0)


def _xet_digest(xet_hash: str | None) -> bytes:
    """The bytes of a xet hash; none for one that is not, since a file can be had without it."""
    try:
        digest = bytes.fromhex(xet_hash or "")
    except ValueError:
        return b""
    return digest if len(digest) == 32 else b""


def _hex_or_none(digest: bytes) -> str | None:
    return None if digest == _NO_DIGEST else digest.hex()
