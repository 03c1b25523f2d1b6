"""Infos, trees, refs and lists, asked by a client without habits.

Facts and their sources: hub-protocol.md, section 2.
"""

import hashlib
import json

import pytest

from tests.localhub import LocalHub
from tests.localhub.asking import ask, follow
from tests.localhub.samples import CONFIG, TOKEN, WEIGHTS, api, commit_of


def test_info_names_ids_and_sizes_when_asked(hub: LocalHub) -> None:
    brief = json.loads(api(hub, "acme/tiny").body)
    full = json.loads(api(hub, "acme/tiny?blobs=true").body)

    assert brief["sha"] == commit_of(hub)
    assert {"rfilename": "config.json"} in brief["siblings"]
    weights = next(s for s in full["siblings"] if s["rfilename"] == "model.safetensors")
    assert weights["size"] == weights["lfs"]["size"] == len(WEIGHTS)
    assert weights["lfs"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert full["config"] == {"model_type": "bert"}


def test_info_can_be_narrowed(hub: LocalHub) -> None:
    info = json.loads(api(hub, "acme/tiny?expand=sha&expand=gated").body)

    assert info.keys() == {"_id", "id", "sha", "gated"}


def test_info_counts_parameters(hub: LocalHub) -> None:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
        }
    ).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(32)
    hub.create_repo("acme/real", {"model.safetensors": weights})

    info = json.loads(api(hub, "acme/real").body)

    assert info["safetensors"] == {"parameters": {"F32": 6, "I64": 1}, "total": 7}


@pytest.mark.parametrize("revision", ["main", "HEAD", "v1", "refs%2Fpr%2F1", "refs/pr/1"])
def test_info_at_any_revision(hub: LocalHub, revision: str) -> None:
    hub.create_tag("acme/tiny", "v1")
    hub.create_branch("acme/tiny", "refs/pr/1")

    info = json.loads(api(hub, f"acme/tiny/revision/{revision}").body)

    assert info["sha"] == commit_of(hub)
    assert json.loads(api(hub, f"acme/tiny/revision/{info['sha'][:8]}").body)["sha"] == info["sha"]


def test_datasets_and_spaces_have_their_own_fields(hub: LocalHub) -> None:
    hub.create_repo("acme/rows", {}, kind="dataset")
    hub.create_repo("acme/app", {}, kind="space")

    dataset = json.loads(ask(f"{hub.endpoint}/api/datasets/acme/rows").body)
    space = json.loads(ask(f"{hub.endpoint}/api/spaces/acme/app").body)

    assert "modelId" not in dataset
    assert "description" in dataset
    assert space["runtime"] == {"stage": "RUNNING"}


def test_a_listing_comes_in_pages_with_absolute_links(hub: LocalHub) -> None:
    hub.create_repo("acme/many", {f"dir/{number:02}.txt": b"" for number in range(7)})
    hub.page_size = 3
    url, found = f"{hub.endpoint}/api/models/acme/many/tree/main?recursive=true", []
    while url:
        answer = ask(url)
        found += [entry["path"] for entry in json.loads(answer.body)]
        link = answer.headers["Link"] or ""
        assert not link or link.endswith('>; rel="next"')
        url = link.removeprefix("<").partition(">")[0]
        assert not url or url.startswith(f"{hub.endpoint}/api/models/acme/many/tree/main?")

    assert found == ["dir", *(f"dir/{number:02}.txt" for number in range(7))]


def test_expanded_pages_are_smaller(hub: LocalHub) -> None:
    hub.create_repo("acme/many", {f"{number:03}": b"" for number in range(60)})

    assert len(json.loads(api(hub, "acme/many/tree/main?expand=true").body)) == 50
    assert len(json.loads(api(hub, "acme/many/tree/main").body)) == 60
    assert len(json.loads(api(hub, "acme/many/tree/main?limit=7").body)) == 7


def test_a_listing_of_a_subdirectory(hub: LocalHub) -> None:
    hub.push("acme/tiny", {"x/y/z": b"", "x/a": b""})

    for path in ("x", "x/", "x?recursive=false"):
        entries = json.loads(api(hub, f"acme/tiny/tree/main/{path}").body)
        assert [entry["path"] for entry in entries] == ["x/y", "x/a"]
    entries = json.loads(api(hub, "acme/tiny/tree/main/x%2Fy").body)
    assert [entry["path"] for entry in entries] == ["x/y/z"]
    assert api(hub, "acme/tiny/tree/main/").status == 200


def test_expanded_entries_name_their_last_commit(hub: LocalHub) -> None:
    first = commit_of(hub)
    second = hub.push("acme/tiny", {"sub/new": b""}, title="Add it")

    entries = json.loads(api(hub, "acme/tiny/tree/main?expand=true").body)

    last = {entry["path"]: entry["lastCommit"]["id"] for entry in entries}
    assert last["config.json"] == first
    assert last["sub"] == second


def test_paths_are_asked_for_as_a_form_or_as_json(hub: LocalHub) -> None:
    url = f"{hub.endpoint}/api/models/acme/tiny/paths-info/main"
    form = ask(
        url,
        "POST",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"paths=config.json&paths=sub&paths=nope&expand=false",
    )
    asked = json.dumps({"paths": ["config.json", "sub", "nope"]}).encode()
    posted = ask(url, "POST", {"Content-Type": "application/json"}, asked)

    assert json.loads(form.body) == json.loads(posted.body)
    assert [entry["type"] for entry in json.loads(form.body)] == ["file", "directory"]


def test_commits_are_listed_newest_first_in_pages(hub: LocalHub) -> None:
    pushed = [commit_of(hub), *(hub.push("acme/tiny", {"a": bytes([n])}) for n in range(3))]

    first = api(hub, "acme/tiny/commits/main?limit=3")
    second = ask(first.headers["Link"].removeprefix("<").partition(">")[0])

    listed = [commit["id"] for answer in (first, second) for commit in json.loads(answer.body)]
    assert listed == pushed[::-1]
    assert second.headers["Link"] is None


def test_lists_show_an_authors_open_repos(hub: LocalHub) -> None:
    hub.create_repo("acme/secret", {}, private=True)
    hub.create_repo("other/tiny", {})

    def listed(query: str, headers: dict[str, str] | None = None) -> list[str]:
        answer = ask(f"{hub.endpoint}/api/models?{query}", headers=headers)
        return [info["id"] for info in json.loads(answer.body)]

    assert listed("author=ACME") == ["acme/tiny"]
    assert listed("author=acme", TOKEN) == ["acme/tiny", "acme/secret"]
    assert listed("search=tiny") == ["acme/tiny", "other/tiny"]
    assert listed("author=nobody") == []


@pytest.mark.parametrize("old", ["gpt2", "acme/old"])
def test_an_old_id_leads_to_the_new_one(hub: LocalHub, old: str) -> None:
    hub.add_alias(old, "acme/tiny")

    info = api(hub, f"{old}/revision/main?blobs=true")
    assert info.status == 307
    assert info.headers["Location"] == "/api/models/acme/tiny/revision/main?blobs=true"
    assert json.loads(ask(info.location).body)["id"] == "acme/tiny"
    assert follow(f"{hub.endpoint}/{old}/resolve/main/config.json").body == CONFIG


def test_a_renamed_repo_answers_under_both_names(hub: LocalHub) -> None:
    hub.rename_repo("acme/tiny", "acme/small")

    assert api(hub, "acme/tiny").headers["Location"] == "/api/models/acme/small"
    assert json.loads(api(hub, "acme/small").body)["id"] == "acme/small"


def test_ids_are_found_in_any_case(hub: LocalHub) -> None:
    answer = api(hub, "ACME/Tiny")

    assert (answer.status, json.loads(answer.body)["id"]) == (200, "acme/tiny")


def test_a_repo_id_with_an_encoded_slash_is_refused(hub: LocalHub) -> None:
    assert api(hub, "acme%2Ftiny").status == 400
