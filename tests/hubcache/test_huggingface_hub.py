"""The Hub's own client, in three versions, with the mount's `.hub` for a cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hubcache.clients import OTHERS, OURS
from tests.hubcache.conftest import NewClient
from tests.localhub import LocalHub
from tests.localhub.log import Record
from tests.mount.conftest import Mount
from tests.mount.mounted import Mounted

VERSIONS = [OURS, *OTHERS]
DAEMON = "hubfs/"
FILES = {"config.json": b"{}", "sub/deep.txt": b"deep", "empty": b""}


def snapshot(mounted: Mounted, repo: str, commit: str) -> Path:
    """Where the client's cache has a commit."""
    return mounted / ".hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / commit


def of_daemon(hub: LocalHub) -> list[Record]:
    """What hubfs itself has asked the Hub."""
    return [record for record in hub.log if (record.user_agent or "").startswith(DAEMON)]


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_is_there_and_none_is_downloaded(
    shared: Mounted, client_of: NewClient, version: str, offline: bool
) -> None:
    """With `HF_HUB_CACHE=DIR/.hub` the Hub's client finds every file of every repo downloaded.

    `hf_hub_download`, `snapshot_download` and `try_to_load_from_cache` give
    paths in the mount. Nothing is downloaded before it is read.
    """
    hub, client, repo = shared.hub, client_of(shared, version), f"found/v{version}-{offline}"
    model = f"weights of {repo}".encode() * 50_000
    commit = hub.create_repo(repo, {**FILES, "model.safetensors": model})
    found = client.ask(
        f"hf_hub_download('{repo}', 'model.safetensors')",
        f"hf_hub_download('{repo}', 'deep.txt', subfolder='sub')",
        f"snapshot_download('{repo}')",
        f"snapshot_download('{repo}', allow_patterns=['*.json'])",
        f"try_to_load_from_cache('{repo}', 'config.json')",
        f"hf_hub_download('{repo}', 'config.json', revision='{commit}')",
        offline=offline,
    )
    root = snapshot(shared, repo, commit)
    paths = ["model.safetensors", "sub/deep.txt", "", "", "config.json", "config.json"]
    assert [each.path for each in found] == [root / path for path in paths]
    assert not [record for record in hub.log.requests(path_contains=repo) if record.is_content]
    assert found[0].path.read_bytes() == model
    assert hub.log.content_bytes(f"{repo}/model.safetensors") == len(model)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_is_offline_asks_nobody(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """With `HF_HUB_OFFLINE=1` the client asks the Hub nothing.

    Everything is there all the same, of repos that nobody has touched before
    too: it is the mount that asks, and nothing that it knows.
    """
    hub, client, repo = shared.hub, client_of(shared, version), f"offline/v{version}"
    hub.create_repo(repo, FILES)
    calls = [
        f"snapshot_download('{repo}')",
        f"hf_hub_download('{repo}', 'config.json')",
        f"hf_hub_download('{repo}', 'absent.json')",
        f"try_to_load_from_cache('{repo}', 'absent.json')",
    ]
    hub.log.clear()
    first = client.ask(*calls, offline=True)
    first[1].path.read_bytes()
    assert len(of_daemon(hub)) == len(hub.log)
    assert len(hub.log.requests(path_contains="/api/models")) == 2  # what it is, what it holds
    hub.log.clear()
    assert client.ask(*calls, offline=True) == first
    assert first[1].path.read_bytes() == b"{}"
    assert len(hub.log) == 0
    assert "LocalEntryNotFoundError" in first[2].errors
    assert "object" in first[3].value  # what stands for a file that is known not to exist
    assert not client.complaints


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_is_absent_is_known_to_be(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """What a commit lacks the cache says it lacks, so that asking for it has nothing to write."""
    hub, client, repo = shared.hub, client_of(shared, version), f"absent/v{version}"
    hub.create_repo(repo, FILES)
    client.ask(f"snapshot_download('{repo}')", offline=True)
    hub.log.clear()
    names = ["absent.json", "sub/absent.json", "no/such/directory/absent.json"]
    found = client.ask(*(f"hf_hub_download('{repo}', '{name}')" for name in names))
    assert all("EntryNotFoundError" in each.errors for each in found), found
    assert not of_daemon(hub)
    if version != "0.36.2":  # which tries to write it down in any case, and says so
        assert not client.complaints


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_has_heard_of_a_newer_commit_finds_it(
    shared: Mounted, client_of: NewClient, version: str
) -> None:
    """A commit that the mount has not heard of is synced when it is looked up.

    The client has it from the Hub, so the branches are asked for first, and
    where they are agrees with what the client has been told.
    """
    hub, client, repo = shared.hub, client_of(shared, version), f"pushed/v{version}"
    hub.create_repo(repo, FILES)
    hub.create_branch(repo, "dev")
    calls = [
        f"hf_hub_download('{repo}', 'config.json')",
        f"hf_hub_download('{repo}', 'config.json', revision='dev')",
        f"hf_hub_download('{repo}', 'absent.json')",
    ]
    client.ask(*calls)
    main, dev = hub.push(repo, {"config.json": b"1"}), hub.push(repo, {"a": b"2"}, "dev")
    found = client.ask(*calls)
    assert [each.path for each in found[:2]] == [
        snapshot(shared, repo, commit) / "config.json" for commit in (main, dev)
    ]
    assert "EntryNotFoundError" in found[2].errors
    refs = snapshot(shared, repo, main).parents[1] / "refs"
    assert [(refs / name).read_text() for name in ("main", "dev")] == [main, dev]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_scan_sees_the_known_repos(mount: Mount, client_of: NewClient, version: str) -> None:
    """`scan_cache_dir` and `hf cache ls` show the repos, branches and commits that are known."""
    mounted = mount()
    hub, client = mounted.hub, client_of(mounted, version)
    first = hub.create_repo("acme/one", FILES)
    hub.create_branch("acme/one", "feature/x")
    rows = hub.create_repo("acme/rows", {"a.csv": b"1,2"}, kind="dataset")
    hub.create_repo("unvisited/repo", {})
    assert client.ask("scanned()")[0].value == {}
    for path in ("acme/one", "acme/one@feature%2Fx", "datasets/acme/rows"):
        assert (mounted / path).is_dir()
    expected = {
        "model/acme/one": [
            len(FILES),
            sum(map(len, FILES.values())),
            {first: ["feature/x", "main"]},
        ],
        "dataset/acme/rows": [1, 3, {rows: ["main"]}],
    }
    assert client.ask("scanned()")[0].value == expected
    assert not [record for record in hub.log if record.is_content]
