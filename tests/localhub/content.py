"""File contents: where their bytes are and which ids they have.

Bytes stay where they were given (memory or a file on disk); ids are computed
once. Knows no repo, no commit and no protocol.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tests.localhub.gitobjects import blob_oid, blob_oid_of_file, pointer_text

Kind = Literal["model", "dataset", "space"]
KINDS: tuple[Kind, ...] = ("model", "dataset", "space")

# The Hub keeps a file in LFS when its default .gitattributes says so, or above 10 MB.
LFS_THRESHOLD = 10_000_000
_LFS_NAME = re.compile(
    r""".*\.(7z|arrow|bin|bz2|ckpt|ftz|gz|h5|joblib|mlmodel|model|msgpack|npy|npz|onnx|ot|parquet|pb
        |pickle|pkl|pt|pth|rar|safetensors|tar|tflite|tgz|wasm|xz|zip|zst)
    |.*\.(lfs|tar)\..*|.*tfevents.*""",
    re.VERBOSE,
)
_LFS_NAME_IN_DATASETS = re.compile(
    r""".*\.(lz4|mds|pcm|sam|raw|aac|flac|mp3|ogg|wav|bmp|gif|png|tiff|jpg|jpeg|webp|mp4|webm)"""
)


@dataclass(frozen=True, slots=True)
class File:
    """A file to push; `lfs` overrules the rule of name and size."""

    data: bytes | Path
    lfs: bool | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one file and their ids; `sha256` is set for LFS files alone."""

    source: bytes | Path
    size: int
    oid: str
    sha256: str | None = None

    @property
    def pointer(self) -> bytes:
        """The text that git holds for this file if it is in LFS."""
        return pointer_text(self.sha256 or "", self.size)

    @property
    def xet_hash(self) -> str:
        """A made-up Xet hash: fixed by the content and unequal to its sha256."""
        return hashlib.sha256(f"xet:{self.sha256}".encode()).hexdigest()

    @property
    def etag(self) -> str:
        """What the Hub calls this file: sha256 in LFS, else the git id."""
        return self.sha256 or self.oid


def is_lfs(path: str, size: int, kind: Kind) -> bool:
    """Tell whether the Hub would keep this file in LFS."""
    if size == 0:
        return False  # git-lfs passes empty files through
    if size > LFS_THRESHOLD or path.startswith("saved_model/"):
        return True
    name = path.rpartition("/")[2]
    if kind == "dataset" and _LFS_NAME_IN_DATASETS.fullmatch(name):
        return True
    return _LFS_NAME.fullmatch(name) is not None


def content_of(file: bytes | Path | File, path: str, kind: Kind) -> Content:
    """Return the content of a file that is to be pushed at `path`."""
    wanted = file if isinstance(file, File) else File(file)
    source = wanted.data
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if is_lfs(path, size, kind) if wanted.lfs is None else wanted.lfs:
        sha256 = _sha256(source)
        return Content(source, size, blob_oid(pointer_text(sha256, size)), sha256)
    return Content(source, size, _blob_oid(source))


def _sha256(source: bytes | Path) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    return _sha256_of_file(*_identity(source))


def _blob_oid(source: bytes | Path) -> str:
    return blob_oid(source) if isinstance(source, bytes) else blob_oid_of_file(source)


def _identity(path: Path) -> tuple[Path, int, int]:
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=10_000)
def _sha256_of_file(path: Path, _size: int, _mtime_ns: int) -> str:
    # Size and time are part of the key: a file that was rewritten is hashed again.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
