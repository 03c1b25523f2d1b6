"""The Hub's own client, in three versions, with the mount's `.hub` for a cache."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.hubcache.clients import OTHERS, OURS, Client
from tests.hubcache.conftest import NewClient
from tests.localhub import LocalHub
from tests.localhub.log import Record
from tests.mount.conftest import Mount
from tests.mount.looking import names
from tests.mount.mounted import Mounted

HF = Path(sys.executable).with_name("hf")
VERSIONS = [OURS, *OTHERS]
FILES = {"config.json": b"{}", "sub/deep.txt": b"deep", "empty": b""}


def files_of(repo: str) -> dict[str, bytes]:
    """Files of which one is in no other repo."""
    return {**FILES, "model.safetensors": f"weights of {repo}".encode() * 50_000}


def snapshot(mounted: Mounted, repo: str, commit: str) -> Path:
    """Where the client's cache has a commit."""
    return mounted / ".hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / commit


def of_daemon(hub: LocalHub) -> list[Record]:
    """What hubfs itself has asked the Hub."""
    return [record for record in hub.log if (record.user_agent or "").startswith("hubfs/")]


def calls_for(repo: str, commit: str) -> dict[str, str]:
    """Ways to ask for what is there, and the path below the snapshot that each leads to."""
    return {
        f"hf_hub_download('{repo}', 'model.safetensors')": "model.safetensors",
        f"hf_hub_download('{repo}', 'deep.txt', subfolder='sub')": "sub/deep.txt",
        f"hf_hub_download('{repo}', 'empty', revision='{commit}')": "empty",
        f"snapshot_download('{repo}')": "",
        f"snapshot_download('{repo}', allow_patterns=['*.json'])": "",
        f"try_to_load_from_cache('{repo}', 'config.json')": "config.json",
    }


def found_by(client: Client, repo: str, commit: str, *, offline: bool) -> Path:
    """Ask in all ways, and return the file of the weights that all agree on."""
    calls = calls_for(repo, commit)
    root = snapshot(client.mounted, repo, commit)
    found = client.ask(*calls, offline=offline)
    assert [each.path for each in found] == [root / path for path in calls.values()]
    return found[0].path


@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_is_there_and_none_is_downloaded(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """With `HF_HUB_CACHE=DIR/.hub` the Hub's client finds every file of every repo downloaded.

    `hf_hub_download`, `snapshot_download` and `try_to_load_from_cache` give
    paths in the mount. Nothing is downloaded before it is read.
    """
    hub, repo = shared.hub, f"online/v{version}"
    commit = hub.create_repo(repo, files_of(repo))
    model = found_by(client_of(shared, version), repo, commit, offline=False)
    assert not [record for record in hub.log.requests(path_contains=repo) if record.is_content]
    assert model.read_bytes() == files_of(repo)["model.safetensors"]
    assert hub.log.content_bytes(f"{repo}/model.safetensors") == model.stat().st_size


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_is_offline_asks_nobody(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """With `HF_HUB_OFFLINE=1` the client asks the Hub nothing, and the mount what it must.

    Everything is there all the same, of repos that nobody has touched before too.
    """
    hub, client, repo = shared.hub, client_of(shared, version), f"offline/v{version}"
    commit = hub.create_repo(repo, files_of(repo))
    hub.log.clear()
    model = found_by(client, repo, commit, offline=True)
    assert len(of_daemon(hub)) == len(hub.log) == 2  # what the repo is, and what it holds
    model.read_bytes()
    hub.log.clear()
    assert found_by(client, repo, commit, offline=True).read_bytes() == model.read_bytes()
    assert len(hub.log) == 0
    assert not client.complaints


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_is_absent_is_known_to_be(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """What a commit lacks the cache says it lacks, so that asking for it has nothing to write."""
    hub, client, repo = shared.hub, client_of(shared, version), f"absent/v{version}"
    hub.create_repo(repo, FILES)
    assert (shared / repo).is_dir()
    hub.log.clear()
    absent = ["absent.json", "sub/absent.json", "no/such/directory/absent.json"]
    *found, known = client.ask(
        *(f"hf_hub_download('{repo}', '{path}')" for path in absent),
        f"try_to_load_from_cache('{repo}', 'no/absent.json') is not None",
    )
    assert all("EntryNotFoundError" in each.errors for each in found), found
    assert known.value is True
    assert not of_daemon(hub)
    if version != "0.36.2":  # which tries to write it down in any case, and says so
        assert not client.complaints


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_has_heard_of_a_newer_commit_finds_it(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """A commit that the mount has not heard of is synced when it is looked up.

    The client has it from the Hub, so the branches are asked for first, and
    `refs` agrees with what the client has been told.
    """
    hub, client, repo = shared.hub, client_of(shared, version), f"pushed/v{version}"
    old = hub.create_repo(repo, FILES)
    hub.create_branch(repo, "dev")
    refs = snapshot(shared, repo, old).parents[1] / "refs"
    assert [(refs / name).read_text() for name in ("main", "dev")] == [old, old]
    main, dev = hub.push(repo, {"config.json": b"1"}), hub.push(repo, {"a": b"2"}, "dev")
    *found, absent = client.ask(
        f"hf_hub_download('{repo}', 'config.json')",
        f"hf_hub_download('{repo}', 'config.json', revision='dev')",
        f"hf_hub_download('{repo}', 'absent.json')",
    )
    assert [each.path.parent.name for each in found] == [main, dev]
    assert [each.path.read_bytes() for each in found] == [b"1", b"{}"]
    assert "EntryNotFoundError" in absent.errors
    assert [(refs / name).read_text() for name in ("main", "dev")] == [main, dev]


def test_datasets_and_spaces_are_there_too(shared: Mounted, client: Client) -> None:
    """Datasets and spaces stand beside the models, as `datasets--` and `spaces--`."""
    for kind in ("dataset", "space"):
        shared.hub.create_repo("kinds/one", {"a": b"1"}, kind=kind)
    found = client.ask(
        "hf_hub_download('kinds/one', 'a', repo_type='dataset')",
        "hf_hub_download('kinds/one', 'a', repo_type='space')",
        "hf_hub_download('kinds/one', 'a')",
        offline=True,
    )
    assert [each.path.parents[2].name for each in found[:2]] == [
        "datasets--kinds--one",
        "spaces--kinds--one",
    ]
    assert "LocalEntryNotFoundError" in found[2].errors


def test_a_scan_sees_the_known_repos(mount: Mount, client_of: NewClient) -> None:
    """`scan_cache_dir` and `hf cache` show and verify the repos and branches that are known."""
    mounted = mount()
    hub, client = mounted.hub, client_of(mounted)
    first = hub.create_repo("acme/one", FILES)
    hub.create_branch("acme/one", "feature/x")
    rows = hub.create_repo("acme/rows", {"a.csv": b"1,2"}, kind="dataset")
    hub.create_repo("unvisited/repo", {})
    for path in ("acme/one", "acme/one@feature%2Fx", "datasets/acme/rows"):
        assert (mounted / path).is_dir()
    assert names(mounted / ".hub") == {"models--acme--one", "datasets--acme--rows"}
    expected = {
        "model/acme/one": [len(FILES), 6, {first: ["feature/x", "main"]}],
        "dataset/acme/rows": [1, 3, {rows: ["main"]}],
    }
    for version in VERSIONS:
        assert client_of(mounted, version).ask("scanned()")[0].value == expected
    listed = json.loads(client.run(HF, "cache", "ls", "--format", "json"))
    assert {each["id"] for each in listed} == set(expected)
    assert not [record for record in hub.log if record.is_content]
    verified = json.loads(client.run(HF, "cache", "verify", "acme/one", "--format", "json"))
    assert verified["checked"] == len(FILES)


def test_nothing_can_be_forced_into_the_cache(shared: Mounted, client: Client) -> None:
    """What would change the cache is refused: `force_download`, `hf cache rm`."""
    shared.hub.create_repo("forced/one", FILES)
    forced, deleted, read = client.ask(
        "hf_hub_download('forced/one', 'config.json', force_download=True)",
        "scan_cache_dir().delete_revisions(*scanned()['model/forced/one'][2]).execute()",
        "hf_hub_download('forced/one', 'config.json')",
    )
    assert "Read-only file system" in forced.value
    assert "Read-only file system" in deleted.value
    assert read.path.read_bytes() == b"{}"
