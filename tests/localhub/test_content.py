import hashlib
from pathlib import Path

import pytest

from tests.localhub.content import LFS_THRESHOLD, File, Kind, content_of, is_lfs
from tests.localhub.gitobjects import blob_oid, pointer_text


@pytest.mark.parametrize(
    ("path", "size", "kind", "expected"),
    [
        ("model.safetensors", 1, "model", True),
        ("sub/pytorch_model.bin", 1, "model", True),
        ("events.out.tfevents.1", 1, "model", True),
        ("saved_model/variables/index", 1, "model", True),
        ("model.safetensors", 0, "model", False),
        ("model.safetensors.index.json", 1, "model", False),
        ("small.gguf", LFS_THRESHOLD, "model", False),
        ("large.gguf", LFS_THRESHOLD + 1, "model", True),
        ("cat.png", 1, "model", False),
        ("cat.png", 1, "dataset", True),
        ("bin", 1, "model", False),
    ],
)
def test_name_and_size_decide_what_is_in_lfs(
    path: str, size: int, kind: Kind, expected: bool
) -> None:
    assert is_lfs(path, size, kind) is expected


def test_a_file_can_be_put_in_lfs_whatever_its_name() -> None:
    content = content_of(File(b"text", lfs=True), "README.md", "model")

    assert content.sha256 == hashlib.sha256(b"text").hexdigest()
    assert content.oid == blob_oid(pointer_text(content.sha256, 4))


def test_ids_are_the_same_from_memory_and_from_disk(tmp_path: Path) -> None:
    for name in ("plain.txt", "large.bin"):
        (tmp_path / name).write_bytes(b"same")
        on_disk = content_of(tmp_path / name, name, "model")
        in_memory = content_of(b"same", name, "model")

        assert (on_disk.oid, on_disk.sha256) == (in_memory.oid, in_memory.sha256)
        assert on_disk.xet_hash not in {None, on_disk.sha256}


def test_a_file_that_was_rewritten_is_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(b"old")
    old = content_of(file, "large.bin", "model")
    file.write_bytes(b"newer")

    assert content_of(file, "large.bin", "model").sha256 != old.sha256
