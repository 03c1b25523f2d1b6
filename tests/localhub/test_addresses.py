import pytest

from tests.localhub.addresses import parse_api, parse_cache, parse_page, split_revision
from tests.localhub.refusals import Refused


def cut(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")[1:])


@pytest.mark.parametrize(
    ("path", "kind", "repo_id", "rest"),
    [
        ("/api/models/acme/tiny", "model", "acme/tiny", ()),
        ("/api/models/gpt2", "model", "gpt2", ()),
        ("/api/models/gpt2/revision/main", "model", "gpt2", ("revision", "main")),
        ("/api/datasets/acme/tiny/refs", "dataset", "acme/tiny", ("refs",)),
        ("/api/spaces/a/b/tree/x%2Fy/p", "space", "a/b", ("tree", "x%2Fy", "p")),
    ],
)
def test_api_addresses(path: str, kind: str, repo_id: str, rest: tuple[str, ...]) -> None:
    address = parse_api(cut(path))

    assert (address.kind, address.repo_id, address.rest) == (kind, repo_id, rest)


@pytest.mark.parametrize(
    ("path", "kind", "repo_id", "rest"),
    [
        ("/acme/tiny/resolve/main/a", "model", "acme/tiny", ("resolve", "main", "a")),
        ("/gpt2/raw/main/a/b", "model", "gpt2", ("raw", "main", "a", "b")),
        ("/datasets/acme/tiny/resolve/main/a", "dataset", "acme/tiny", ("resolve", "main", "a")),
        ("/spaces/a/b/resolve/main/resolve", "space", "a/b", ("resolve", "main", "resolve")),
    ],
)
def test_file_addresses(path: str, kind: str, repo_id: str, rest: tuple[str, ...]) -> None:
    address = parse_page(cut(path))

    assert (address.kind, address.repo_id, address.rest) == (kind, repo_id, rest)


def test_cache_addresses() -> None:
    commit = "a" * 40

    assert parse_cache(cut(f"/api/resolve-cache/models/gpt2/{commit}/x/y")).repo_id == "gpt2"
    assert parse_cache(cut(f"/api/resolve-cache/datasets/a/b/{commit}/x")).repo_id == "a/b"


@pytest.mark.parametrize("path", ["/api/models/acme%2Ftiny", "/api/models/acme%2ftiny/refs"])
def test_a_repo_id_has_a_real_slash(path: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_api(cut(path))
    assert caught.value.status == 400


@pytest.mark.parametrize("path", ["/", "/acme", "/acme/tiny", "/acme/tiny/blob/main/x"])
def test_pages_for_people_are_not_served(path: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_page(cut(path))
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/main/a/b", ("main", "a/b")),
        ("/refs%2Fpr%2F1/a%20b", ("refs/pr/1", "a b")),
        ("/refs/pr/1/a", ("refs/pr/1", "a")),
        ("/main/sub%2Fdir", ("main", "sub/dir")),
        ("/main", ("main", "")),
        ("/refs/x", ("refs", "x")),
        ("/main/50%25+.txt", ("main", "50%+.txt")),
    ],
)
def test_revisions_and_paths(path: str, expected: tuple[str, str]) -> None:
    assert split_revision(cut(path)) == expected


def test_a_moved_repo_keeps_the_rest_of_its_address() -> None:
    address = parse_api(cut("/api/models/old/tree/main/a%20b"))

    assert address.moved_to("new/id", "x=1") == "/api/models/new/id/tree/main/a%20b?x=1"
