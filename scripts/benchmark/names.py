"""Trees of many small files: on the hub, and the same on the disk beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FILES_PER_DIRECTORY = 1000


def tree_of(count: int) -> Iterator[tuple[str, str]]:
    """Paths and contents of `count` files, no two contents alike."""
    for at in range(count):
        directory, file = divmod(at, FILES_PER_DIRECTORY)
        yield f"data/part-{directory:04}/sample-{file:06}.json", f'{{"id": {at}}}'


def write_tree(root: Path, files: dict[str, str]) -> None:
    """Make files of these names and lengths; they hold nothing, and take no blocks."""
    for directory in {str(Path(name).parent) for name in files}:
        (root / directory).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        descriptor = os.open(root / name, os.O_CREAT | os.O_WRONLY, 0o644)
        os.ftruncate(descriptor, len(content))
        os.close(descriptor)
