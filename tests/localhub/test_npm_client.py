"""The npm package @huggingface/hub against the local Hub, over both schemes."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.localhub import LocalHub
from tests.localhub.samples import CONFIG, STRANGE, WEIGHTS, commit_of

VERSION = "2.17.5"
# Two limits of the client: it encodes no paths ('#', '?' and '%' are lost), and it
# asks for byte 0 of every file, which an empty one does not have.
UNLIKED = {STRANGE: None, "empty": None}
TAME = "sub/a b+ü.txt"


def skip(reason: str) -> None:
    """Skip aloud; in CI a skip is a failure."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def package() -> Path:
    """The client's entry point, installed once per machine, outside the checkout."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are needed to try the npm client")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hubfs-dev" / "node" / VERSION
    entry = folder / "node_modules/@huggingface/hub/dist/index.mjs"
    if not entry.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", f"@huggingface/hub@{VERSION}"]
        done = subprocess.run(
            [*command, "--prefix", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            skip(f"npm cannot install @huggingface/hub: {done.stderr[-500:]}")
    return entry


@pytest.fixture
def seen(either_hub: LocalHub, package: Path, tmp_path: Path) -> dict[str, Any]:
    """What the client sees of the sample repo."""
    hub = either_hub
    hub.push("acme/tiny", {**UNLIKED, TAME: b"strange", "long.txt": b"compressible\n" * 1000})
    hub.push("acme/tiny", {"a/b/c.bin": b"deep"})
    hub.create_repo("acme/rows", {"a.csv": b"1"}, kind="dataset")
    hub.create_repo("acme/gone", {}, disabled=True)
    hub.page_size = hub.expanded_page_size = 2
    settings = {
        "hubUrl": hub.endpoint,
        "accessToken": "hf_test",
        "cacheDir": str(tmp_path),
        "strange": TAME,
    }
    script = Path(__file__).with_name("npm_client.mjs")
    done = subprocess.run(
        ["node", str(script), str(package), json.dumps(settings)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(hub.ca_file or "")},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_npm_client_sees_what_is_there(either_hub: LocalHub, seen: dict[str, Any]) -> None:
    hub, sha256 = either_hub, hashlib.sha256(WEIGHTS).hexdigest()
    tree = hub.repo("acme/tiny").head.tree

    assert {file["path"] for file in seen["files"]} == {*tree.files, *tree.directories} - {""}
    assert len(seen["files"]) == len(tree.files) + len(tree.directories) - 1
    assert all(file["lastCommit"]["id"] for file in seen["expanded"])
    weights = next(file for file in seen["files"] if file["path"] == "model.safetensors")
    assert weights["lfs"]["oid"] == sha256
    assert [found["path"] for found in seen["paths"]] == ["config.json"]
    assert (seen["model"]["sha"], seen["model"]["author"]) == (commit_of(hub), "acme")
    assert seen["dataset"]["name"] == "acme/rows"
    assert {model["name"] for model in seen["models"]} == {"acme/tiny", "acme/gone"}
    assert next(commit["oid"] for commit in seen["commits"]) == commit_of(hub)
    assert len(seen["commits"]) == seen["commitCount"] == 3
    assert seen["me"] == "owner"


def test_the_npm_client_gets_the_bytes(either_hub: LocalHub, seen: dict[str, Any]) -> None:
    assert seen["exists"] == seen["fileExists"] == [True, False]
    assert seen["plain"]["size"] == len(CONFIG)
    assert seen["large"]["size"] == seen["weightsSize"] == seen["snapshot"] == len(WEIGHTS)
    assert seen["pointer"]["size"] < 200
    assert seen["missing"] is None
    assert seen["config"].encode() == CONFIG
    assert seen["long"] == "compressible\n" * 1000
    assert bytes.fromhex(seen["slice"]) == WEIGHTS[1000:1010]
    assert seen["strange"] == "strange"
    assert not either_hub.log.requests(origin="cdn", status=400)


def test_the_npm_client_is_refused_as_by_the_hub(seen: dict[str, Any]) -> None:
    assert (seen["refused"], seen["badToken"]) == (403, 401)
