"""Programs that use what people use: safetensors, llama.cpp and huggingface_hub.

Called as readers.py is.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import xllamacpp
from huggingface_hub import hf_hub_download
from safetensors import safe_open

from scripts.benchmark.sources import SLICE, name_of


def part(path: str, at: str) -> dict[str, Any]:
    """Some rows of one tensor."""
    started = time.perf_counter()
    with safe_open(path, framework="np") as model:
        rows = model.get_slice(name_of(int(at)))[SLICE.start : SLICE.stop]
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "digest": hashlib.sha256(rows.tobytes()).hexdigest()}


def load(path: str) -> dict[str, Any]:
    """Every tensor, as a loader does."""
    started = time.perf_counter()
    with safe_open(path, framework="np") as model:
        tensors = [model.get_tensor(name) for name in model.keys()]  # noqa: SIM118 - no dict
    seconds = time.perf_counter() - started
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor)
    return {"seconds": seconds, "digest": digest.hexdigest()}


def llama(path: str) -> dict[str, Any]:
    """Make llama.cpp ready to answer, and let it."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 128, 1, False, -1
    started = time.perf_counter()
    server = xllamacpp.Server(params)
    question = {"prompt": "A kitten", "n_predict": 1, "temperature": 0, "seed": 1}
    answer = server.handle_completions(question)["choices"][0]["text"]
    return {"seconds": time.perf_counter() - started, "digest": answer}


def download(repo: str, name: str) -> dict[str, Any]:
    """What `hf download` does; HF_ENDPOINT and HF_HOME say where from and where to."""
    started = time.perf_counter()
    path = hf_hub_download(repo, name)
    return {"seconds": time.perf_counter() - started, "path": path}


PROGRAMS: dict[str, Callable[..., dict[str, Any]]] = {
    "part": part,
    "load": load,
    "llama": llama,
    "download": download,
}

if __name__ == "__main__":
    print(json.dumps(PROGRAMS[sys.argv[1]](*sys.argv[2:])))
