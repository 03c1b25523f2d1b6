"""Models loaded by libraries that know nothing of hubfs, each from several places.

    python -m tests.hubcache.loaders PLACES

PLACES is JSON: for each loader the places, repo ids or directories, that it
shall load the same model from. What each found is printed as JSON. Run in a
process of its own: a page fault on a cold file would stop the hub in this one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import xllamacpp
from gguf import GGUFReader
from huggingface_hub import hf_hub_download, snapshot_download
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoTokenizer

TEXT: Final = "A kitten naps on the couch."
PARTS: Final = {"unet": "diffusion_pytorch_model.safetensors", "vae": "model.fp16.safetensors"}


def file_in(place: str, name: str) -> str:
    """The path of a file of a repo or of a directory."""
    return str(Path(place) / name) if Path(place).is_dir() else hf_hub_download(place, name)


def digests(path: str | Path) -> dict[str, str]:
    """All tensors of a safetensors file."""
    tensors = load_file(path).items()
    return {name: hashlib.sha256(each.tobytes()).hexdigest() for name, each in sorted(tensors)}


def transformers(place: str) -> list[Any]:
    config, tokenizer = AutoConfig.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    return [config.hidden_size, tokenizer(TEXT)["input_ids"]]


def safetensors(place: str) -> dict[str, str]:
    return digests(file_in(place, "silero_vad_16k.safetensors"))


def onnx(place: str) -> list[Any]:
    session = onnxruntime.InferenceSession(file_in(place, "model.onnx"))
    ones = np.ones((1, 10), np.int64)
    found: list[Any] = session.run(None, {each.name: ones for each in session.get_inputs()})
    return [hashlib.sha256(each.tobytes()).hexdigest() for each in found]


def llama(place: str) -> str:
    """What llama.cpp says, which maps the file; and what a reader in Python sees."""
    params = xllamacpp.CommonParams()
    params.model.path = file_in(place, "model.gguf")
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 128, 1, False, -1
    question = {"prompt": TEXT, "n_predict": 8, "temperature": 0, "seed": 1}
    answer = xllamacpp.Server(params).handle_completions(question)["choices"][0]["text"]
    return f"{answer} {len(GGUFReader(params.model.path).tensors)}"


def diffusers(place: str) -> list[Any]:
    """What diffusers does before it needs torch: the index, then the parts that it names."""
    index = json.loads(Path(file_in(place, "model_index.json")).read_text())
    parts = [f"{name}/*" for name in index if not name.startswith("_")]
    folder = place if Path(place).is_dir() else snapshot_download(place, allow_patterns=parts)
    config = AutoConfig.from_pretrained(place, subfolder="text_encoder")
    tokenizer = AutoTokenizer.from_pretrained(place, subfolder="tokenizer")
    weights = [digests(Path(folder) / part / name) for part, name in PARTS.items()]
    return [sorted(index), config.hidden_size, tokenizer(TEXT)["input_ids"], weights]


LOADERS: Final[dict[str, Callable[[str], Any]]] = {
    "transformers": transformers,
    "safetensors": safetensors,
    "onnx": onnx,
    "llama": llama,
    "diffusers": diffusers,
}

if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    found = {name: [LOADERS[name](place) for place in wanted[name]] for name in wanted}
    sys.stdout.write(f"\n{json.dumps(found)}\n")
