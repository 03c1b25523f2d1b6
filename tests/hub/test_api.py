"""The metadata API against the local Hub, and against mirrors that know less."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import pytest

from hubfs.errors import (
    AccessDenied,
    BadToken,
    CircularPages,
    HubError,
    HubUnreachable,
    NotOnHub,
    Offline,
    ProtocolViolation,
    RateLimited,
    RepoNotFound,
    RevisionNotFound,
)
from hubfs.hub.api import HubApi
from hubfs.hub.credentials import Credentials
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import TreeFile
from tests.hub.scripted import ScriptedServer, answering, reply
from tests.localhub import Fault, LocalHub
from tests.localhub.content import Kind
from tests.localhub.samples import STRANGE, WEIGHTS

TOKEN = "hf_test"
MODEL = RepoKind.MODEL
TINY = RepoId(MODEL, "acme/tiny")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"
OID = "ba5d19791be1dd7992e33bd61f20207b0f7f50a5"


@asynccontextmanager
async def api_of(
    endpoint: str, token: str | None = TOKEN, *, offline: bool = False
) -> AsyncIterator[HubApi]:
    async with HubApi(endpoint, Credentials(endpoint, token), offline=offline) as api:
        yield api


@pytest.fixture
async def api(tiny: LocalHub) -> AsyncIterator[HubApi]:
    async with api_of(tiny.endpoint) as made:
        yield made


async def files_of(api: HubApi, commit: str, repo: RepoId = TINY) -> list[TreeFile]:
    return [file async for page in api.tree_pages(repo, commit) for file in page]


# --- repos -----------------------------------------------------------------------------


async def test_a_repo_is_found_at_every_kind_of_revision(tiny: LocalHub, api: HubApi) -> None:
    first = tiny.repo("acme/tiny").head.oid
    second = tiny.push("acme/tiny", {"new.txt": b"new"})
    tiny.create_branch("acme/tiny", "dev/a b", first)
    tiny.create_tag("acme/tiny", "v1.0", first)
    tiny.create_branch("acme/tiny", "refs/pr/1", first)

    assert (await api.repo_info(TINY)).commit == second
    assert (await api.repo_info(TINY, "main")).commit == second
    for revision in ("dev/a b", "v1.0", "refs/pr/1", first):
        assert (await api.repo_info(TINY, revision)).commit == first


async def test_a_repo_of_each_kind_is_found(local_hub: LocalHub) -> None:
    async with api_of(local_hub.endpoint) as api:
        for kind in get_args(Kind):
            local_hub.create_repo(f"acme/{kind}", {"a.txt": b"a"}, kind=kind)
            repo = RepoId(RepoKind(f"{kind}s"), f"acme/{kind}")
            info = await api.repo_info(repo)
            assert info.name == f"acme/{kind}"
            assert [file.path for file in await files_of(api, info.commit, repo)] == ["a.txt"]


async def test_under_tls_all_is_the_same(tiny_tls: LocalHub) -> None:
    tiny_tls.page_size = 3
    async with api_of(tiny_tls.endpoint) as api:
        info = await api.repo_info(TINY)
        assert len(await files_of(api, info.commit)) == 4
        assert await api.find_author(MODEL, "ACME") == "acme"
        with pytest.raises(RepoNotFound):
            await api.repo_info(RepoId(MODEL, "acme/none"))
    assert {each.authorization for each in tiny_tls.log} == {f"Bearer {TOKEN}"}


async def test_a_repo_is_described_as_it_is(tiny: LocalHub, api: HubApi) -> None:
    tiny.set_access("acme/tiny", private=True, gated="manual")
    info = await api.repo_info(TINY)
    assert (info.name, info.private, info.gated, info.disabled) == ("acme/tiny", True, True, False)
    assert info.last_modified == tiny.repo("acme/tiny").head.date.timestamp()


async def test_the_canonical_name_is_learnt_whatever_was_asked_for(
    tiny: LocalHub, api: HubApi
) -> None:
    tiny.create_repo("openai-community/gpt2", {"a": b"a"})
    tiny.add_alias("gpt2", "openai-community/gpt2")
    tiny.rename_repo("acme/tiny", "acme/new")
    for asked, canonical in {
        "ACME/New": "acme/new",
        "acme/tiny": "acme/new",
        "gpt2": "openai-community/gpt2",
    }.items():
        assert (await api.repo_info(RepoId(MODEL, asked))).name == canonical


@pytest.mark.parametrize(
    ("access", "token", "expected"),
    [
        ({"private": True}, None, RepoNotFound),
        ({"private": True}, "hf_other", RepoNotFound),
        ({"private": True}, "hf_wrong", BadToken),
        ({"disabled": True}, TOKEN, AccessDenied),
    ],
)
async def test_the_hub_s_refusals_have_names(
    tiny: LocalHub, access: dict[str, object], token: str | None, expected: type[HubError]
) -> None:
    tiny.add_token("hf_other", grants=["nobody/nothing"])
    tiny.set_access("acme/tiny", **access)  # type: ignore[arg-type]
    async with api_of(tiny.endpoint, token) as api:
        with pytest.raises(expected):
            await api.repo_info(TINY)


async def test_a_gated_repo_can_be_seen(tiny: LocalHub) -> None:
    tiny.set_access("acme/tiny", gated="manual")
    async with api_of(tiny.endpoint, None) as api:
        assert (await api.repo_info(TINY)).gated


async def test_a_revision_that_is_not_there_is_not(api: HubApi) -> None:
    with pytest.raises(RevisionNotFound):
        await api.repo_info(TINY, "none")
    with pytest.raises(RevisionNotFound):
        await api.repo_info(TINY, COMMIT)


@pytest.mark.parametrize("has_code", [True, False])
async def test_a_repo_that_is_not_there_costs_one_request_more_at_most(
    tiny: LocalHub, has_code: bool
) -> None:
    tiny.anonymous_error_code = has_code
    for token, most in ((None, 2), (TOKEN, 1)):
        tiny.log.clear()
        async with api_of(tiny.endpoint, token) as api:
            with pytest.raises(RepoNotFound):
                await api.repo_info(RepoId(MODEL, "acme/none"))
        assert len(tiny.log) == most


async def test_a_named_revision_is_asked_for_once(tiny: LocalHub) -> None:
    async with api_of(tiny.endpoint, None) as api:
        with pytest.raises(RepoNotFound):
            await api.repo_info(RepoId(MODEL, "acme/none"), "main")
    assert len(tiny.log) == 1


async def test_the_refs_of_a_repo_have_names(tiny: LocalHub, api: HubApi) -> None:
    tiny.create_branch("acme/tiny", "dev/one")
    tiny.create_tag("acme/tiny", "v1.0")
    assert set(await api.ref_names(TINY)) == {"main", "dev/one", "v1.0"}
    with pytest.raises(RepoNotFound):
        await api.ref_names(RepoId(MODEL, "acme/none"))


async def test_an_answer_about_another_commit_is_refused(tiny: LocalHub) -> None:
    """What a commit is called can never change: it would be kept for ever."""
    info = json.dumps({"id": "acme/tiny", "sha": OTHER}).encode()
    with ScriptedServer(answering(*[reply(200, info)] * 3)) as liar:
        async with api_of(liar.url) as api:
            assert (await api.repo_info(TINY, "main")).commit == OTHER
            with pytest.raises(ProtocolViolation, match="another commit"):
                await api.repo_info(TINY, COMMIT)


# --- listings --------------------------------------------------------------------------


@pytest.mark.parametrize("page_size", [1, 2, 1000])
async def test_a_listing_of_many_pages_is_complete(
    tiny: LocalHub, api: HubApi, page_size: int
) -> None:
    tiny.page_size = page_size
    tiny.push("acme/tiny", {f"deep/er/{number}.txt": b"x" for number in range(10)})
    commit = (await api.repo_info(TINY)).commit
    tree = tiny.repo("acme/tiny").head.tree.files

    files = await files_of(api, commit)

    assert {file.path for file in files} == set(tree)
    assert len(files) == len(tree)
    assert all(file.oid == tree[file.path].oid for file in files)
    assert all(file.sha256 == tree[file.path].sha256 for file in files)
    assert all(file.size == tree[file.path].size for file in files)


async def test_an_lfs_file_has_its_own_size_and_hash(tiny: LocalHub, api: HubApi) -> None:
    tiny.xet = True
    commit = (await api.repo_info(TINY)).commit
    found = {file.path: file for file in await files_of(api, commit)}
    assert found["model.safetensors"].size == len(WEIGHTS)
    assert found["model.safetensors"].sha256
    assert found["model.safetensors"].xet_hash
    assert found[STRANGE].sha256 is None


async def test_pages_come_from_the_endpoint_whatever_host_they_name(tiny: LocalHub) -> None:
    """Mirrors relay the address of the Hub behind them."""
    first = json.dumps([{"type": "file", "path": "a", "size": 1, "oid": OID}]).encode()
    second = json.dumps([{"type": "file", "path": "b", "size": 1, "oid": OID}]).encode()
    with ScriptedServer(answering(reply(200, b"[]"))) as upstream:
        link = f'Link: <{upstream.url}/api/models/acme/tiny/tree/x?cursor=A%3D&limit=1>; rel="next"'
        with ScriptedServer(answering(reply(200, first, link), reply(200, second))) as mirror:
            async with api_of(mirror.url) as api:
                assert [file.path for file in await files_of(api, COMMIT)] == ["a", "b"]
        assert upstream.connections == 0
    targets = [each.split()[1] for each in mirror.requests]
    assert targets == [
        f"/api/models/acme/tiny/tree/{COMMIT}?recursive=true&expand=false",
        f"/api/models/acme/tiny/tree/{COMMIT}?cursor=A%3D&limit=1",
    ]


@pytest.mark.parametrize(
    "targets",
    [
        ["/x?recursive=true&expand=false"],
        ["/x?cursor=1", "/x?cursor=1"],
        ["/x?cursor=1", "/x?cursor=2", "/x?cursor=1"],
        ["/x"],
    ],
)
async def test_pages_that_go_in_a_circle_end(targets: list[str]) -> None:
    pages = [reply(200, b"[]", f"Link: <{each}>; rel=next") for each in targets]
    with ScriptedServer(answering(*pages)) as server:
        async with api_of(server.url) as api:
            with pytest.raises(CircularPages, match="the listing of acme/tiny"):
                await files_of(api, COMMIT)
        assert len(server.requests) == len(targets)


async def test_a_listing_can_be_had_directory_by_directory(tiny: LocalHub, api: HubApi) -> None:
    commit = tiny.push("acme/tiny", {"a/b c/#1.txt": b"1", "a/2.txt": b"2"})
    found = [file async for page in api.directory_pages(TINY, commit) for file in page]
    assert sorted(found) == sorted(await files_of(api, commit))


async def test_a_directory_whose_pages_go_in_a_circle_ends_too() -> None:
    pages = [reply(200, b"[]", "Link: </x?recursive=false&expand=false>; rel=next")]
    with ScriptedServer(answering(*pages)) as server:
        async with api_of(server.url) as api:
            with pytest.raises(CircularPages, match="the listing of acme/tiny"):
                _ = [page async for page in api.directory_pages(TINY, COMMIT)]


async def test_a_page_that_fails_in_the_middle_fails_the_listing(
    tiny: LocalHub, api: HubApi
) -> None:
    """Half a listing must not be taken for a whole one."""
    tiny.page_size = 2
    commit = (await api.repo_info(TINY)).commit
    tiny.faults.add(Fault("status", status=404, path="*tree*"))
    with pytest.raises(NotOnHub):
        await files_of(api, commit)


async def test_listings_may_be_packed(tiny: LocalHub, api: HubApi) -> None:
    tiny.faults.add(Fault("gzip", path="*tree*", times=None))
    commit = (await api.repo_info(TINY)).commit
    assert len(await files_of(api, commit)) == 4


# --- authors ---------------------------------------------------------------------------


async def test_an_author_is_found_in_the_canonical_spelling(tiny: LocalHub, api: HubApi) -> None:
    assert await api.find_author(MODEL, "acme") == "acme"
    assert await api.find_author(MODEL, "ACME") == "acme"
    assert await api.find_author(MODEL, "nobody") is None
    assert await api.find_author(RepoKind.DATASET, "acme") is None


@pytest.mark.parametrize("name", ["a&b=c", "a b", "ü", "a#b", "a%26b", "a+b"])
async def test_no_name_of_an_author_changes_the_question(tiny: LocalHub, name: str) -> None:
    with ScriptedServer(answering(reply(200, b"[]"))) as server:
        async with api_of(server.url) as api:
            assert await api.find_author(MODEL, name) is None
        target = server.requests[0].split()[1]
    assert target.startswith("/api/models?author=")
    assert target.count("&") == 1
    assert target.endswith("&limit=1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([{"id": "Acme/tiny"}], "Acme"),
        ([{"id": "other/tiny"}], None),
        ([{"id": "gpt2"}], None),
        ([{"id": "\u212aelvin/x"}], None),  # its lower case is "kelvin"
        ([None, 5, {"id": 5}, {"id": "../x"}, {"id": "acme/tiny"}], "acme"),
        ([{}], None),
        ([], None),
        ({}, "acme"),
        (None, "acme"),
    ],
)
async def test_only_a_spelling_of_the_name_is_an_answer(body: object, expected: str | None) -> None:
    with ScriptedServer(answering(reply(200, json.dumps(body).encode()))) as server:
        async with api_of(server.url) as api:
            assert await api.find_author(MODEL, "acme") == expected


# --- mirrors ---------------------------------------------------------------------------

_UNKNOWN = reply(401, b"{}", "X-Error-Code: RepoNotFound", "X-Error-Message: Repository not found")


async def test_a_mirror_that_cannot_list_by_author_is_believed() -> None:
    with ScriptedServer(answering(_UNKNOWN, reply(404, b"{}"), reply(200))) as mirror:
        async with api_of(mirror.url, None) as api:
            for _ in range(3):
                assert await api.find_author(MODEL, "acme") == "acme"


async def test_a_page_in_place_of_a_list_is_not_believed() -> None:
    """A network that asks for a login would otherwise have every organisation there is."""
    with ScriptedServer(answering(*[reply(200, b"<html>Log in</html>")] * 3)) as portal:
        async with api_of(portal.url, None) as api:
            with pytest.raises(ProtocolViolation):
                await api.find_author(MODEL, "acme", patience=0)


@pytest.mark.parametrize("body", [b"", b"null", b"[]"])
async def test_nothing_is_no_repo(body: bytes) -> None:
    with ScriptedServer(answering(reply(200, body))) as mirror:
        async with api_of(mirror.url, None) as api:
            with pytest.raises(ProtocolViolation, match="names no repo"):
                await api.repo_info(TINY)


async def test_a_mirror_that_knows_no_default_branch_is_asked_for_main() -> None:
    info = json.dumps({"id": "acme/tiny", "sha": COMMIT}).encode()
    with ScriptedServer(answering(_UNKNOWN, reply(200, info))) as mirror:
        async with api_of(mirror.url, None) as api:
            assert (await api.repo_info(TINY)).commit == COMMIT
        assert [each.split()[1] for each in mirror.requests] == [
            "/api/models/acme/tiny",
            "/api/models/acme/tiny/revision/main",
        ]


async def test_a_mirror_that_has_neither_says_what_the_hub_would() -> None:
    missing = reply(404, b"{}", "X-Error-Code: RevisionNotFound")
    with ScriptedServer(answering(_UNKNOWN, missing)) as mirror:
        async with api_of(mirror.url, None) as api:
            with pytest.raises(RepoNotFound):
                await api.repo_info(TINY)


@pytest.mark.parametrize(
    "refusal",
    [
        reply(401, b"", "X-Error-Message: Invalid credentials in Authorization header"),
        reply(401, b"", "X-Error-Code: GatedRepo"),
        reply(403),
        reply(404, b"", "X-Error-Code: RepoNotFound"),
    ],
)
async def test_what_is_refused_for_other_reasons_is_not_asked_for_again(refusal: bytes) -> None:
    with ScriptedServer(answering(refusal)) as server:
        async with api_of(server.url) as api:
            with pytest.raises((AccessDenied, RepoNotFound)):
                await api.repo_info(TINY)
        assert len(server.requests) == 1


# --- troubles --------------------------------------------------------------------------


async def test_a_burst_of_errors_passes(tiny: LocalHub, api: HubApi) -> None:
    tiny.faults.add(Fault("status", status=503), Fault("close_before_answer"))
    assert (await api.repo_info(TINY)).name == "acme/tiny"
    assert len(tiny.log) == 3


async def test_a_rate_limit_is_honoured(tiny: LocalHub, api: HubApi) -> None:
    tiny.requests_per_window = 1
    await api.repo_info(TINY)
    with pytest.raises(RateLimited):
        await api.repo_info(TINY, patience=0)  # the window may be about to end
    assert len(tiny.log) == 1


async def test_a_hub_that_is_down_is_said_to_be_and_comes_back(tiny: LocalHub, api: HubApi) -> None:
    await api.repo_info(TINY)
    tiny.down()
    with pytest.raises(HubUnreachable, match="cannot be reached"):
        await api.repo_info(TINY, patience=0)
    tiny.up()
    assert (await api.repo_info(TINY, patience=60)).name == "acme/tiny"


async def test_the_token_is_sent_with_every_request(tiny: LocalHub, api: HubApi) -> None:
    tiny.page_size = 1
    await files_of(api, (await api.repo_info(TINY)).commit)
    await api.find_author(MODEL, "acme")
    assert {each.authorization for each in tiny.log} == {f"Bearer {TOKEN}"}


async def test_offline_makes_no_request(tiny: LocalHub) -> None:
    async with api_of(tiny.endpoint, offline=True) as api:
        with pytest.raises(Offline):
            await api.repo_info(TINY)
        with pytest.raises(Offline):
            await api.find_author(MODEL, "acme")
        with pytest.raises(Offline):
            await files_of(api, COMMIT)
    assert len(tiny.log) == 0
