"""huggingface_hub's own functions against the local Hub, over both schemes."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from huggingface_hub.utils._http import close_session, parse_ratelimit_headers
from huggingface_hub.utils.tqdm import disable_progress_bars

from tests.localhub import LocalHub
from tests.localhub.samples import CONFIG, STRANGE, WEIGHTS, commit_of

FILES = {"config.json", "model.safetensors", STRANGE, "empty"}


@pytest.fixture
def hub(either_hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The sample repo, and a session that trusts its certificate."""
    if either_hub.ca_file:
        monkeypatch.setenv("SSL_CERT_FILE", str(either_hub.ca_file))
    disable_progress_bars()
    close_session()
    yield either_hub
    close_session()


@pytest.fixture
def client(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_test")


@pytest.fixture
def anonymous(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


def test_repo_infos(hub: LocalHub, client: HfApi) -> None:
    hub.create_repo("acme/rows", {"data.parquet": b"rows"}, kind="dataset")
    hub.create_repo("acme/app", {"app.py": b"run()"}, kind="space")

    model = client.model_info("acme/tiny", files_metadata=True)
    assert (model.id, model.sha) == ("acme/tiny", commit_of(hub))
    assert {sibling.rfilename for sibling in model.siblings or []} == FILES
    weights = next(s for s in model.siblings or [] if s.rfilename == "model.safetensors")
    assert weights.lfs
    assert (weights.size, weights.lfs.size) == (len(WEIGHTS), len(WEIGHTS))
    assert model.last_modified == hub.repo("acme/tiny").head.date
    dataset = client.dataset_info("acme/rows", files_metadata=True)
    assert [sibling.size for sibling in dataset.siblings or []] == [4]
    assert client.space_info("acme/app").runtime


def test_info_at_any_revision(hub: LocalHub, client: HfApi) -> None:
    old = commit_of(hub)
    hub.create_branch("acme/tiny", "refs/pr/1")
    hub.create_tag("acme/tiny", "v1/final")
    new = hub.push("acme/tiny", {"new": b""})

    for revision in ("refs/pr/1", "v1/final", old, old[:8]):
        assert client.model_info("acme/tiny", revision=revision).sha == old
    assert client.model_info("acme/tiny", revision="main").sha == new


@pytest.mark.parametrize("expand", [False, True])
def test_trees_in_many_pages(hub: LocalHub, client: HfApi, expand: bool) -> None:
    hub.create_repo("acme/many", {f"d{n % 5}/f{n}.bin": bytes([n]) for n in range(120)})
    hub.page_size, hub.expanded_page_size = 7, 9

    entries = list(client.list_repo_tree("acme/many", recursive=True, expand=expand))

    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    folders = [entry for entry in entries if isinstance(entry, RepoFolder)]
    assert {file.path for file in files} == {f"d{n % 5}/f{n}.bin" for n in range(120)}
    assert {folder.path for folder in folders} == {f"d{n}" for n in range(5)}
    assert all(file.lfs and file.size == 1 for file in files)
    assert all((entry.last_commit is not None) == expand for entry in entries)
    assert len(entries) == 125


def test_a_large_listing(hub: LocalHub, client: HfApi) -> None:
    hub.create_repo("acme/huge", {f"d{n % 100}/f{n}": b"%d" % n for n in range(20_000)})

    for _ in range(2):
        assert sum(1 for _ in client.list_repo_tree("acme/huge", recursive=True)) == 20_100


def test_refs_and_commits(hub: LocalHub, client: HfApi) -> None:
    first = commit_of(hub)
    hub.create_tag("acme/tiny", "v1")
    hub.create_branch("acme/tiny", "refs/pr/7")
    hub.create_branch("acme/tiny", "refs/convert/parquet")
    second = hub.push("acme/tiny", {"x": b""}, title="Add x")

    refs = client.list_repo_refs("acme/tiny", include_pull_requests=True)
    assert [(ref.name, ref.target_commit) for ref in refs.branches] == [("main", second)]
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", first)]
    assert [ref.name for ref in refs.converts] == ["parquet"]
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/7"]
    commits = client.list_repo_commits("acme/tiny")
    assert [(c.commit_id, c.title) for c in commits] == [
        (second, "Add x"),
        (first, "initial commit"),
    ]


def test_some_paths(client: HfApi) -> None:
    found = client.get_paths_info("acme/tiny", ["config.json", "sub", STRANGE, "nope"], expand=True)

    assert {entry.path for entry in found} == {"config.json", "sub", STRANGE}


def test_lists_by_author(hub: LocalHub, client: HfApi) -> None:
    for number in range(5):
        hub.create_repo(f"corp/m{number}", {})

    assert len(list(client.list_models(author="CORP"))) == 5
    assert len(list(client.list_models(author="corp", limit=3))) == 3
    assert list(client.list_models(author="nobody")) == []


def test_existence_and_identity(client: HfApi) -> None:
    assert client.repo_exists("acme/tiny")
    assert not client.repo_exists("acme/nope")
    assert client.revision_exists("acme/tiny", "main")
    assert not client.revision_exists("acme/tiny", "nope")
    assert client.file_exists("acme/tiny", STRANGE)
    assert not client.file_exists("acme/tiny", "nope")
    assert client.whoami()["name"] == "owner"


def test_old_names(hub: LocalHub, client: HfApi, tmp_path: Path) -> None:
    hub.add_alias("tiny", "acme/tiny")

    assert client.model_info("tiny").id == "acme/tiny"
    assert client.model_info("ACME/Tiny").id == "acme/tiny"
    assert list(client.list_repo_tree("tiny", recursive=True))
    path = hf_hub_download("tiny", "config.json", endpoint=hub.endpoint, cache_dir=tmp_path)
    assert Path(path).read_bytes() == CONFIG


def test_file_metadata_stops_at_the_cdn(hub: LocalHub, client: HfApi) -> None:
    files = hub.repo("acme/tiny").head.tree.files
    for name, data in (("model.safetensors", WEIGHTS), ("config.json", CONFIG)):
        url = f"{hub.endpoint}/acme/tiny/resolve/main/{name}"
        metadata = client.get_hf_file_metadata(url=url)

        assert metadata.commit_hash == commit_of(hub)
        assert (metadata.size, metadata.etag) == (len(data), files[name].etag)
        assert metadata.xet_file_data is None
        assert metadata.location.startswith(hub.cdn_endpoint) == (name == "model.safetensors")
    assert hub.log.requests(origin="cdn") == []


def test_downloads_and_checksums(hub: LocalHub, client: HfApi, tmp_path: Path) -> None:
    hub.push("acme/tiny", {"long.txt": b"compressible\n" * 1000})
    folder = client.snapshot_download("acme/tiny", cache_dir=tmp_path)

    found = {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}
    assert found == FILES | {"long.txt"}
    assert (Path(folder) / "model.safetensors").read_bytes() == WEIGHTS
    verified = client.verify_repo_checksums("acme/tiny", cache_dir=tmp_path)
    assert (verified.checked_count, verified.mismatches) == (5, [])
    assert not hub.log.requests(origin="cdn", status=400)
    assert all(record.authorization is None for record in hub.log.requests(origin="cdn"))


def test_a_dataset_downloads(hub: LocalHub, tmp_path: Path) -> None:
    hub.create_repo("acme/rows", {"a/data.parquet": b"rows", "a.csv": b"x"}, kind="dataset")
    folder = snapshot_download(
        "acme/rows", repo_type="dataset", endpoint=hub.endpoint, cache_dir=tmp_path, token=False
    )

    assert (Path(folder) / "a/data.parquet").read_bytes() == b"rows"


def test_a_second_download_asks_and_does_not_fetch(hub: LocalHub, tmp_path: Path) -> None:
    download = partial(
        hf_hub_download, "acme/tiny", endpoint=hub.endpoint, cache_dir=tmp_path, token=False
    )
    for _ in range(2):
        download("model.safetensors")

    assert len(hub.log.requests(origin="cdn")) == 1


# What goes wrong; the classes are told apart on https alone (REPO_API_REGEX)


def test_errors_have_their_classes(hub: LocalHub, client: HfApi, anonymous: HfApi) -> None:
    hub.create_repo("acme/gated", {"config.json": CONFIG}, gated="auto")
    hub.create_repo("acme/closed", {}, disabled=True)
    url = f"{hub.endpoint}/acme/gated/resolve/main/config.json"

    for error, call in _failing_calls(client, anonymous, url):
        with pytest.raises(error):
            call()


def _failing_calls(
    client: HfApi, anonymous: HfApi, gated: str
) -> list[tuple[type[Exception], Callable[[], object]]]:
    missing_file = gated.replace("acme/gated", "acme/tiny").replace("config.json", "nope")
    return [
        (RepositoryNotFoundError, lambda: client.model_info("acme/nope")),
        (RevisionNotFoundError, lambda: client.model_info("acme/tiny", revision="nope")),
        (EntryNotFoundError, lambda: client.get_hf_file_metadata(url=missing_file)),
        (EntryNotFoundError, lambda: list(client.list_repo_tree("acme/tiny", "nope"))),
        (GatedRepoError, lambda: anonymous.get_hf_file_metadata(url=gated)),
        (DisabledRepoError, lambda: client.model_info("acme/closed")),
    ]


def test_a_stranger_is_not_let_in(hub: LocalHub) -> None:
    hub.create_repo("acme/gated", {"config.json": CONFIG}, gated="manual")
    hub.create_repo("acme/secret", {}, private=True)
    hub.add_token("hf_stranger")
    stranger = HfApi(endpoint=hub.endpoint, token="hf_stranger")

    assert stranger.model_info("acme/gated").gated == "manual"
    with pytest.raises(GatedRepoError):
        stranger.get_hf_file_metadata(url=f"{hub.endpoint}/acme/gated/resolve/main/config.json")
    with pytest.raises(RepositoryNotFoundError):
        stranger.model_info("acme/secret")


def test_a_missing_repo_without_a_token(hub: LocalHub, anonymous: HfApi) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        anonymous.model_info("acme/nope")

    is_refined = isinstance(caught.value, RepositoryNotFoundError)
    assert is_refined == hub.endpoint.startswith("https://")


def test_a_bad_token(hub: LocalHub) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        HfApi(endpoint=hub.endpoint, token="hf_wrong").model_info("acme/tiny")


def test_a_rate_limit_is_understood(hub: LocalHub, client: HfApi) -> None:
    hub.requests_per_window = 1
    client.model_info("acme/tiny")

    with pytest.raises(HfHubHTTPError, match="429") as caught:
        client.model_info("acme/tiny")

    limits = parse_ratelimit_headers(caught.value.response.headers)
    assert limits
    assert (limits.resource_type, limits.remaining, limits.limit) == ("api", 0, 1)
