"""Libraries that load by a repo's name, on real weights, with the mount's `.hub` for a cache.

Each runs in a process of its own, unmodified, knowing only where its cache is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hubcache.clients import WEIGHTS, Client
from tests.hubcache.conftest import NewClient
from tests.hubcache.shelf import INT8, LLAMA, LOADED, MINI, PIPELINE, Shelf, files_below
from tests.hubcache.test_huggingface_hub import of_daemon
from tests.localhub import LocalHub
from tests.localhub.test_npm_client import package
from tests.mount.conftest import Mount
from tests.mount.mounted import Mounted

__all__ = ["package"]  # where the npm client is

needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_dir(), reason="there are no real weights: run scripts/weights"
)

ONE_TENSOR = """
import hashlib, json
from huggingface_hub import hf_hub_download
from safetensors import safe_open
with safe_open({path}, "np") as weights:
    tensor = weights.get_tensor("encoder.layer.3.attention.self.query.weight")
    print(json.dumps([sorted(weights.keys()), hashlib.sha256(tensor).hexdigest()]))
"""
CODE = {
    "config.json": b'{"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}',
    "own.py": b"""
from transformers import PretrainedConfig
class OwnConfig(PretrainedConfig):
    model_type = "own"
    answer = 42
""",
}
# What sentence_transformers.util does before it makes a module (5.1, without torch).
SENTENCE_TRANSFORMERS = f"""
import json, pathlib
from huggingface_hub import hf_hub_download, snapshot_download
modules = json.loads(pathlib.Path(hf_hub_download("{MINI}", "modules.json")).read_text())
pooling = next(each["path"] for each in modules if each["path"])
folder = snapshot_download("{MINI}", allow_patterns=[pooling + "/**"])
print((pathlib.Path(folder) / pooling / "config.json").read_text().replace("\\n", ""))
"""


def content_of(hub: LocalHub, repo: str) -> set[str]:
    """The files of which bytes have been downloaded."""
    return {str(each.path) for each in hub.log if each.is_content and each.repo == repo}


def load(client: Client, shelf: Shelf, *, offline: bool = False) -> dict[str, list[Any]]:
    """Let one process of a user load all there is, from all places."""
    return run_loaders(client, shelf.places(client.mounted), offline=offline)


def run_loaders(client: Client, places: str, *, offline: bool = False) -> dict[str, list[Any]]:
    python = [sys.executable, "-m", "tests.hubcache.loaders", places]
    found: dict[str, list[Any]] = json.loads(client.run(*python, offline=offline).splitlines()[-1])
    return found


@needs_weights
def test_programs_load_by_name_and_by_path(
    mount: Mount, hub: LocalHub, client_of: NewClient, tmp_path: Path
) -> None:
    """Transformers, safetensors, onnxruntime, llama.cpp, and what diffusers does without torch.

    They read what they need, lazily; what another repo has is not fetched again.
    A warm load fetches nothing, and hubfs asks the Hub nothing; a client that
    is online asks about the branch by itself. By path nobody is asked anything,
    online or not. With `HF_HUB_OFFLINE=1` nobody is
    asked anything. Given a commit, `hf_hub_download` and `snapshot_download`
    ask nothing either.
    """
    shelf = Shelf(hub, tmp_path / "originals")
    mounted = mount()
    client = client_of(mounted)
    cold = load(client, shelf)
    for loader, (by_name, by_path, original) in cold.items():
        assert by_name == by_path == original, loader
    assert {"config.json", "tokenizer.json"} <= content_of(hub, MINI)
    assert not {"model.safetensors", "vocab.txt", "README.md"} & content_of(hub, MINI)
    assert content_of(hub, PIPELINE) == {"model_index.json"}

    hub.log.clear()
    assert load(client, shelf) == cold
    assert not of_daemon(hub)
    assert {(each.method, each.is_content) for each in hub.log} == {("HEAD", False), ("GET", False)}
    hub.log.clear()
    by_path = {loader: [str(mounted / repo)] for loader, repo in LOADED.items()}
    assert run_loaders(client, json.dumps(by_path)) == {name: cold[name][1:2] for name in cold}
    assert len(hub.log) == 0
    commit = shelf.commits[INT8]
    at_commit = client.ask(
        f"hf_hub_download('{INT8}', 'model.onnx', revision='{commit}')",
        f"snapshot_download('{INT8}', revision='{commit}')",
    )
    assert all(each.path.exists() for each in at_commit)
    hub.down()
    mounted.remount()
    assert load(client, shelf, offline=True) == cold
    assert len(hub.log) == 0


@pytest.mark.nightly
def test_a_real_language_model_answers_by_name(
    mount: Mount, hub: LocalHub, client_of: NewClient, tmp_path: Path
) -> None:
    """llama.cpp says the same from the mount, by name and by path, as from the original file."""
    found = list((WEIGHTS.parent / "smollm2").glob("*.gguf"))
    if not found:
        pytest.skip("there is no real GGUF file: run scripts/weights --all")
    (tmp_path / "original").mkdir()
    (tmp_path / "original/model.gguf").symlink_to(found[0])
    hub.create_repo(LLAMA, {"model.gguf": found[0]})
    mounted = mount()
    places = [LLAMA, str(mounted / LLAMA), str(tmp_path / "original")]
    answers = run_loaders(client_of(mounted), json.dumps({"llama": places}))["llama"]
    assert answers == [answers[0]] * 3
    assert hub.log.content_bytes("model.gguf") == found[0].stat().st_size


@pytest.fixture(scope="module")
def mini(shared: Mounted) -> LocalHub:
    """The shared Hub, which has the real model."""
    shared.hub.create_repo(MINI, files_below(WEIGHTS))
    return shared.hub


@needs_weights
def test_safetensors_reads_a_tensor_by_name(mini: LocalHub, client: Client) -> None:
    """One tensor of a safetensors file, found by its repo's name, costs a part of the file."""
    model = WEIGHTS / "model.safetensors"
    original = client.python(ONE_TENSOR.format(path=repr(str(model))))
    found = client.python(ONE_TENSOR.format(path=f"hf_hub_download({MINI!r}, {model.name!r})"))
    assert found == original
    assert mini.log.content_bytes(f"{MINI}/{model.name}") < model.stat().st_size / 2


@needs_weights
def test_a_part_of_a_repo_is_loaded_by_name(mini: LocalHub, client: Client) -> None:
    """Libraries that load a repo's parts, as sentence-transformers do, get those that they read."""
    found = client.python(SENTENCE_TRANSFORMERS, offline=True)
    assert found["pooling_mode_mean_tokens"] is True
    read = {"modules.json", "1_Pooling/config.json"}
    assert read <= content_of(mini, MINI) <= read | {"model.safetensors"}


def test_code_in_a_repo_is_run_from_where_it_is_copied_to(
    shared: Mounted, client: Client, tmp_path: Path
) -> None:
    """`trust_remote_code` copies code to `HF_MODULES_CACHE`, which is elsewhere and writable."""
    shared.hub.create_repo("libraries/code", CODE)
    program = f"""
import json, os, sys
os.environ["HF_MODULES_CACHE"] = {str(tmp_path / "modules")!r}
from transformers import AutoConfig
config = AutoConfig.from_pretrained("libraries/code", trust_remote_code=True)
print(json.dumps([config.answer, sys.modules[type(config).__module__].__file__]))
"""
    answer, copied = client.python(program)
    assert answer == 42
    assert Path(copied).is_relative_to(tmp_path / "modules")


NPM = """
const { downloadFileToCacheDir, scanCacheDir } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const where = { hubUrl: process.env.HF_ENDPOINT, cacheDir: process.env.HF_HUB_CACHE };
const path = await downloadFileToCacheDir({ repo: "libraries/npm", path: "sub/a.json", ...where });
const scan = await scanCacheDir(where.cacheDir);
const repos = scan.repos.filter((each) => each.id.name === "libraries/npm");
console.log(JSON.stringify([path, String(readFileSync(path)), repos.length, scan.warnings]));
"""


def test_the_npm_client_finds_files_too(shared: Mounted, client: Client, package: Path) -> None:
    """The npm client, `@huggingface/hub`, finds every file downloaded.

    It goes by the commit that has last changed a file, which is looked up like any other.
    """
    first = shared.hub.create_repo("libraries/npm", {"sub/a.json": b"1"})
    shared.hub.push("libraries/npm", {"b.json": b"2"})
    command = ["node", "--input-type=module", "--eval", NPM, str(package)]
    path, text, repos, warnings = json.loads(client.run(*command))
    cached = shared / ".hub/models--libraries--npm/snapshots"
    assert (path, text) == (str(cached / first / "sub/a.json"), "1")
    assert (repos, warnings) == (1, [])
