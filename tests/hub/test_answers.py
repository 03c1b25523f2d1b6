from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubfs.errors import (
    AccessDenied,
    BadToken,
    EntryNotFound,
    HubError,
    HubUnreachable,
    NotOnHub,
    ProtocolViolation,
    RateLimited,
    RepoNotFound,
    RevisionNotFound,
)
from hubfs.hub import answers
from hubfs.hub.answers import RateState, RepoInfo
from hubfs.model.identifiers import is_commit, is_repo_name, is_revision
from hubfs.model.tree import TreeBuilder, TreeFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OID = "ba5d19791be1dd7992e33bd61f20207b0f7f50a5"
SHA256 = "097417381d6c7230bd9e3557456d726de6e83245ec8b24f529f60198a67b203a"
XET = "2d8408d3a894d02517d04956e2f7546ff08362594072f3527ce144b5212a3296"

header_texts = st.text(st.characters(max_codepoint=255))
# What a parser of JSON may return, infinities and lone surrogates included.
texts = st.text(st.characters(exclude_categories=[]))
numbers = st.integers() | st.floats() | st.sampled_from([10**30, -1, 1e999])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.just(OID) | st.just(SHA256),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
lfs_fields = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("oid", "sha256", "size", "pointerSize"), values)
)
entries = st.fixed_dictionaries(
    {"type": st.just("file") | values, "path": texts | values},
    optional={"size": values, "oid": values, "lfs": lfs_fields | values, "xetHash": values},
)


# --- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        # The failure table, row by row; a repo's absence and its privacy look the same.
        (401, "", "Invalid username or password.", RepoNotFound),
        (401, "RepoNotFound", "Repository not found", RepoNotFound),
        (404, "RepoNotFound", "Repository not found", RepoNotFound),
        (401, "", "Invalid credentials in Authorization header", BadToken),
        (401, "GatedRepo", "Access to model X is restricted. Please log in.", AccessDenied),
        (403, "GatedRepo", "Access to model X is restricted and you are not", AccessDenied),
        (403, "", "Access to this resource is disabled.", AccessDenied),
        (404, "RevisionNotFound", "Invalid rev id: zzz", RevisionNotFound),
        (404, "EntryNotFound", "Entry not found", EntryNotFound),
        (404, "", "Sorry, we can't find the page you are looking for.", RepoNotFound),
        (400, "", "Invalid repo name: a/b", ProtocolViolation),
        (429, "", "We had to rate limit your IP.", RateLimited),
        # What the table does not name.
        (403, "", "", AccessDenied),
        (410, "", "", RepoNotFound),
        (408, "", "", HubUnreachable),
        (500, "", "", HubUnreachable),
        (503, "RepoNotFound", "an outage is no absence", HubUnreachable),
        (429, "RepoNotFound", "", RateLimited),
        (599, "", "", HubUnreachable),
        (302, "", "", ProtocolViolation),
        (416, "", "", ProtocolViolation),
        (404, "NobodyKnowsThisCode", "", RepoNotFound),
    ],
)
def test_a_refusal_means_what_its_status_and_headers_say(
    status: int, code: str, message: str, expected: type[HubError]
) -> None:
    headers = {"x-error-code": code, "x-error-message": message}

    error = answers.error_of(status, headers, "acme/tiny")

    assert type(error) is expected
    assert str(error).startswith("acme/tiny: ")


def test_a_disabled_repo_is_said_to_be() -> None:
    headers = {"x-error-message": "Access to this resource is disabled."}
    assert "disabled" in str(answers.error_of(403, headers, "acme/tiny"))


def test_a_gated_repo_s_own_words_are_the_hint() -> None:
    headers = {"x-error-code": "GatedRepo", "x-error-message": "Visit https://hf.co/X to ask."}
    assert answers.error_of(403, headers, "X").hint == "Visit https://hf.co/X to ask."
    assert "hf auth login" in answers.error_of(403, {"x-error-code": "GatedRepo"}, "X").hint


@pytest.mark.parametrize("status", [401, 404])
def test_who_may_lack_a_token_is_told_how_to_give_one(status: int) -> None:
    assert "HF_TOKEN" in answers.error_of(status, {}, "acme/tiny").hint


@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["x-error-message"]), header_texts))
@example(400, {"x-error-message": "\x1b[2J\r\nerror: all is lost\x07" + "x" * 60_000})
def test_a_server_s_words_cannot_fake_a_line_or_fill_a_log(
    status: int, headers: dict[str, str]
) -> None:
    error = answers.error_of(status, headers, "acme/tiny")
    for text in (str(error), error.hint):
        assert text.isprintable()
        assert len(text) < 400


# --- pauses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"api";r=0;t=55', [RateState("api", 0, 55.0)]),
        ('"resolvers" ; t=172 ; r=2998', [RateState("resolvers", 2998, 172.0)]),
        ('"api";r=1;t=2, "pages";r=0;t=9', [RateState("api", 1, 2.0), RateState("pages", 0, 9.0)]),
        ('"api";r=0;t=5;pk=:abc:', [RateState("api", 0, 5.0)]),
        ('"api";r=0', []),
        ('"api";r=-1;t=5', []),
        ('"api";r=0;t=1e9', []),
        ('"api";reset=5;r=0', []),
        ('"api";r=0;t=' + "9" * 5000, []),
        ("api;r=0;t=5", []),
        ("", []),
    ],
)
def test_a_rate_limit_header_describes_buckets(header: str, expected: list[RateState]) -> None:
    assert answers.rate_states({"ratelimit": header}) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ratelimit": '"api";r=0;t=55', "retry-after": "3"}, 56.0),
        ({"ratelimit": '"api";r=7;t=55', "retry-after": "3"}, 3.0),
        ({"ratelimit": '"a";r=0;t=5, "b";r=0;t=9'}, 10.0),
        ({"retry-after": "3"}, 3.0),
        ({}, 5.0),
        ({"retry-after": "soon"}, 5.0),
        ({"retry-after": "\xb2"}, 5.0),  # a digit to str.isdigit, not to float
        ({"retry-after": "-3"}, 5.0),
        ({"retry-after": "0"}, answers.SHORTEST_PAUSE),
        ({"retry-after": "99999999999"}, answers.LONGEST_PAUSE),
        ({"retry-after": "9" * 5000}, answers.LONGEST_PAUSE),
        ({"ratelimit": '"api";r=0;t=999999999999'}, answers.LONGEST_PAUSE),
    ],
)
def test_a_pause_is_as_asked_but_neither_nothing_nor_for_ever(
    headers: dict[str, str], expected: float
) -> None:
    assert answers.retry_after(headers) == expected
    error = answers.error_of(429, headers, "acme/tiny")
    assert isinstance(error, RateLimited)
    assert error.retry_after == expected


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", answers.SHORTEST_PAUSE),
        ("Sat, 03 Jan 2026 03:04:05 GMT", answers.LONGEST_PAUSE),
        ("Fri, 99 Jan 2026 03:04:05 GMT", 5.0),
        ("Fri, 02 Jan 2026 03:04:35", 5.0),
    ],
)
def test_a_pause_until_a_date_counts_from_the_answer_s_own(until: str, expected: float) -> None:
    headers = {"retry-after": until, "date": "Fri, 02 Jan 2026 03:04:05 GMT"}
    assert answers.retry_after(headers) == expected


def test_a_date_without_another_to_count_from_says_nothing() -> None:
    assert answers.retry_after({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT"}) == 5.0


@given(header_texts, header_texts, header_texts)
def test_no_header_makes_a_pause_that_is_none(limit: str, after: str, date: str) -> None:
    pause = answers.retry_after({"ratelimit": limit, "retry-after": after, "date": date})
    assert answers.SHORTEST_PAUSE <= pause <= answers.LONGEST_PAUSE


# --- ranges ----------------------------------------------------------------------------


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.integers(0, 1 << 62))
def test_a_content_range_is_read_as_it_was_written(start: int, last: int, total: int) -> None:
    header = f"bytes {start}-{last}/{total}"
    assert answers.content_range(header) == (start, last + 1, total)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes */2307",
        "bytes 0-4/*",
        "bytes 0-4",
        "items 0-4/5",
        "bytes -1-4/5",
        "bytes 0-4/5, bytes 0-4/5",
        "bytes 0-4/5x",
        "bytes 0 - 4/5",
        f"bytes 0-4/{'9' * 5000}",
        "bytes \u0660-\u0664/\u0665",
    ],
)
def test_what_is_no_content_range_is_none(header: str | None) -> None:
    assert answers.content_range(header) is None


@given(header_texts)
def test_no_content_range_does_harm(header: str) -> None:
    answers.content_range(header)


# --- a repo's JSON ---------------------------------------------------------------------


def test_a_repo_is_read_from_what_the_hub_says_of_it() -> None:
    body = {
        "_id": "621ffdc1",
        "id": "acme/tiny",
        "sha": COMMIT,
        "lastModified": "2026-01-02T03:04:05.000Z",
        "private": False,
        "gated": "manual",
        "disabled": False,
        "siblings": [{"rfilename": "config.json"}],
    }
    expected = RepoInfo("acme/tiny", COMMIT, 1767323045.0, gated=True)
    assert answers.repo_info(body, "acme/tiny") == expected


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "a/b/c",
        "/tiny",
        "acme/",
        "",
        "acme/..",
        "acme/a--b",
        "acme/x.git",
        "acme/a b",
        "acme/tiny\n",
        "models/acme/tiny",
        "datasets/tiny",
        "spaces/tiny",
        "acme/\ud800",
        "ācme/tiny",
        None,
        5,
        ["acme/tiny"],
    ],
)
def test_a_repo_of_an_impossible_name_is_refused(name: object) -> None:
    with pytest.raises(ProtocolViolation, match="names no repo"):
        answers.repo_info({"id": name, "sha": COMMIT}, "acme/tiny")


@pytest.mark.parametrize(
    "commit",
    [None, "", "main", COMMIT[:7], COMMIT.upper(), COMMIT + "\n", f"../{COMMIT[3:]}", 5, [COMMIT]],
)
def test_a_repo_without_a_commit_is_refused(commit: object) -> None:
    with pytest.raises(ProtocolViolation, match="names no commit"):
        answers.repo_info({"id": "acme/tiny", "sha": commit}, "acme/tiny")


@given(values | st.fixed_dictionaries({"id": values, "sha": values, "lastModified": values}))
def test_any_json_is_a_repo_or_a_violation(body: object) -> None:
    try:
        info = answers.repo_info(body, "acme/tiny")
    except ProtocolViolation:
        return
    assert is_repo_name(info.name)
    assert is_commit(info.commit)


@given(values)
def test_what_does_not_matter_of_a_repo_may_be_anything(value: object) -> None:
    rest = dict.fromkeys(("lastModified", "private", "gated", "disabled", "siblings"), value)
    info = answers.repo_info({"id": "acme/tiny", "sha": COMMIT} | rest, "acme/tiny")
    assert (info.name, info.commit) == ("acme/tiny", COMMIT)
    assert 0 <= info.last_modified < 1 << 33


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        None,
        5,
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59",
        "1969-12-31T23:59:59Z",
        "2026-13-01",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_what_no_file_can_be_dated_is_the_epoch(text: object) -> None:
    assert answers.timestamp(text) == 0.0


# --- listings --------------------------------------------------------------------------


def entry(**changed: Any) -> dict[str, Any]:
    usual = {"type": "file", "path": "config.json", "size": 313, "oid": OID}
    return {name: value for name, value in (usual | changed).items() if value is not ...}


def file_of(**changed: Any) -> TreeFile:
    (file,) = answers.tree_files([entry(**changed)], "the listing")
    return file


def test_a_page_gives_its_files_and_passes_over_directories() -> None:
    directory = {"type": "directory", "oid": OID, "size": 0, "path": "sub"}
    lfs = {"oid": SHA256, "size": 440473133, "pointerSize": 134}
    large = entry(path="pytorch_model.bin", size=440473133, lfs=lfs, xetHash=XET)

    assert answers.tree_files([directory, entry(), large], "the listing") == [
        TreeFile("config.json", 313, OID),
        TreeFile("pytorch_model.bin", 440473133, OID, SHA256, XET),
    ]


def test_of_an_lfs_file_only_what_its_pointer_says_counts() -> None:
    assert file_of(size=134, lfs={"oid": SHA256, "size": 5}).size == 5
    assert file_of(size=5, lfs={"oid": SHA256}).size == 5
    assert file_of(size=..., lfs={"sha256": SHA256, "size": 5}).sha256 == SHA256


def test_a_hash_may_be_spelt_as_in_a_pointer_file() -> None:
    assert file_of(lfs={"oid": f"sha256:{SHA256}", "size": 5}).sha256 == SHA256


@pytest.mark.parametrize("lfs", [None, {}, ...])
def test_a_file_is_plain_if_nothing_is_said_of_lfs(lfs: object) -> None:
    assert file_of(lfs=lfs) == TreeFile("config.json", 313, OID)


@pytest.mark.parametrize(
    "changed",
    [
        {"size": -1},
        {"size": None},
        {"size": ...},
        {"size": "313"},
        {"size": 313.0},
        {"size": True},
        {"size": 1e999},
        {"size": float("nan")},
        {"size": 1 << 62},
        {"size": 10**4000},
        {"oid": ...},
        {"oid": None},
        {"oid": 5},
        {"oid": OID[:-1]},
        {"oid": SHA256},
        {"oid": "é" * 40},
        {"lfs": {"oid": SHA256, "size": -5}},
        {"lfs": {"oid": SHA256, "size": None}},
        {"lfs": {"oid": SHA256, "size": 1e999}},
        {"lfs": {"oid": SHA256[:-2], "size": 5}},
        {"lfs": {"oid": f"md5:{SHA256}", "size": 5}},
        {"lfs": {"size": 5}},  # without a hash nothing could ever be verified
        {"lfs": {"oid": 5, "size": 5}},
        {"lfs": "yes"},
        {"lfs": [SHA256]},
        {"path": "/etc/passwd"},
        {"path": "../x"},
        {"path": "a/../x"},
        {"path": "a//x"},
        {"path": "./x"},
        {"path": ""},
        {"path": "a\0b"},
        {"path": "\ud800"},
        {"path": "x" * 300},
        {"path": "x/" * 3000 + "y"},
        {"path": "x" * 10_000_000},
    ],
)
def test_one_file_that_cannot_be_hides_no_other(changed: dict[str, Any]) -> None:
    builder = TreeBuilder()
    for file in answers.tree_files([entry(**changed), entry(path="other")], "the listing"):
        builder.add(file)

    assert (builder.stats.files, builder.stats.skipped) == (1, 1)
    assert [listing.names for listing in builder.listings()] == [[b"other"]]


@pytest.mark.parametrize("digest", ["upper", "lower"])
def test_hashes_are_the_same_in_any_case(digest: str) -> None:
    oid, sha256 = getattr(OID, digest)(), getattr(SHA256, digest)()
    builder = TreeBuilder()
    for file in answers.tree_files([entry(oid=oid, lfs={"oid": sha256, "size": 5})], "it"):
        builder.add(file)

    (listing,) = builder.listings()
    assert (listing.entry(0).oid, listing.entry(0).sha256) == (OID, SHA256)


def test_of_two_files_at_one_path_the_first_counts() -> None:
    builder = TreeBuilder()
    for file in answers.tree_files([entry(size=1), entry(size=2)], "the listing"):
        builder.add(file)

    assert (builder.stats.files, builder.stats.skipped, builder.stats.size) == (1, 1, 1)


@pytest.mark.parametrize(
    "body", [None, {}, "[]", 5, [None], [[]], [5], [{}], [{"type": "file"}], [{"path": "x"}]]
)
def test_what_is_no_listing_is_refused(body: object) -> None:
    with pytest.raises(ProtocolViolation, match="not a listing"):
        answers.tree_files(body, "the listing")


@given(values | st.lists(entries | values, max_size=5))
def test_any_json_is_a_listing_or_a_violation(body: object) -> None:
    try:
        files = answers.tree_files(body, "the listing")
    except ProtocolViolation:
        return

    builder = TreeBuilder()
    for file in files:
        builder.add(file)
    assert builder.stats.files + builder.stats.skipped == len(files)


@given(st.lists(entries, max_size=5))
def test_every_entry_with_a_type_and_a_path_is_part_of_a_listing(body: list[Any]) -> None:
    well_named = [
        each for each in body if isinstance(each["type"], str) and isinstance(each["path"], str)
    ]
    files = [each["path"] for each in well_named if each["type"] == "file"]
    assert [file.path for file in answers.tree_files(well_named, "it")] == files


@given(values)
def test_names_in_a_list_of_repos_are_those_that_repos_can_have(value: object) -> None:
    names = answers.repo_names([{"id": "acme/tiny"}, value, {"id": value}, {"id": "../x"}])
    assert names[0] == "acme/tiny"
    assert all(is_repo_name(each) for each in names)
    assert answers.repo_names(value) == []


def test_the_names_of_refs_come_from_every_sort_of_them() -> None:
    sorts = {
        "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT}],
        "converts": [],
        "tags": [{"name": "v1.0"}, {"name": "a/b"}],
    }
    assert answers.ref_names(sorts) == ["main", "v1.0", "a/b"]


@given(values | st.dictionaries(texts, st.lists(values | st.fixed_dictionaries({"name": texts}))))
def test_the_names_of_refs_are_those_that_revisions_can_have(body: object) -> None:
    assert all(is_revision(each) for each in answers.ref_names(body))


def test_json_that_python_alone_accepts_is_read_without_harm() -> None:
    body = json.loads('[{"type":"file","path":"a","size":1e999,"oid":NaN,"lfs":{"size":Infinity}}]')
    assert [file.size for file in answers.tree_files(body, "it")] == [-1]


def test_nothing_on_the_hub_is_an_absence_until_it_says_so() -> None:
    """What is absent is cached as absent: only a plain answer may say so."""
    absent = [s for s in range(100, 600) if isinstance(answers.error_of(s, {}, "x"), NotOnHub)]
    assert absent == [401, 404, 410]
