from __future__ import annotations

from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubfs.errors import ProtocolViolation
from hubfs.hub import urls
from hubfs.model.content import Source
from hubfs.model.identifiers import RepoId, RepoKind

HUB = "https://hub.example"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = RepoId(RepoKind.MODEL, "acme/tiny")

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
anything = st.text(st.characters(max_codepoint=255))
near_addresses = st.lists(
    st.sampled_from(
        [
            "http://",
            "https:",
            "//",
            "/",
            "\\",
            "@",
            "#",
            "?",
            "%",
            "%2f",
            ":",
            ":80",
            "[::1]",
            "[",
            "hub.example",
            "evil.example",
            "..",
            "\t",
            "\r\n",
            " ",
            "\xfc",
            "\0",
            "0",
            "99999",
            "x",
        ]
    )
).map("".join)


# --- our own addresses -----------------------------------------------------------------


@given(paths)
@example("a b#c?d%e+f/ü\U0001f600/[1]&=;,'\"")
def test_whatever_a_file_is_called_its_address_names_it_and_nothing_else(path: str) -> None:
    url = urls.content_url(HUB, Source("datasets/acme/tiny", COMMIT, path))

    parts = urlsplit(url)
    assert unquote(parts.path) == f"/datasets/acme/tiny/resolve/{COMMIT}/{path}"
    assert (parts.query, parts.fragment) == ("", "")
    assert url.isascii()
    assert not set(" +") & set(url)


@given(names)
@example("refs/pr/1")
def test_a_revision_is_one_segment_of_an_address(revision: str) -> None:
    for url in (urls.repo_url(HUB, TINY, revision), urls.tree_url(HUB, TINY, revision)):
        *base, last = urlsplit(url).path.split("/")
        assert unquote(last) == revision
        assert base[:5] == ["", "api", "models", "acme", "tiny"]


def test_a_repo_of_each_kind_has_an_address() -> None:
    kinds = [urls.repo_url(HUB, RepoId(kind, "gpt2")) for kind in RepoKind]

    assert kinds == [f"{HUB}/api/{each}/gpt2" for each in ("models", "datasets", "spaces")]
    assert urls.author_url(HUB, "models") == f"{HUB}/api/models"


@given(names)
def test_a_directory_keeps_its_slashes(path: str) -> None:
    url = urls.tree_url(HUB, TINY, COMMIT, path)
    assert unquote(urlsplit(url).path) == f"/api/models/acme/tiny/tree/{COMMIT}/{path}"
    assert (urlsplit(url).query, urlsplit(url).fragment) == ("", "")


# --- origins ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://hub.example", "https://hub.example:443/x?y#z"),
        ("http://hub.example:80/", "http://hub.example"),
        ("https://HUB.example", "HTTPS://hub.EXAMPLE/x"),
        ("https://hub.example", "https://user:secret@hub.example"),
        ("http://[::1]:8080", "http://[::1]:8080/x"),
    ],
)
def test_one_origin_may_be_spelt_in_several_ways(one: str, other: str) -> None:
    assert urls.origin_of(one) == urls.origin_of(other)


@pytest.mark.parametrize(
    "other",
    [
        "http://hub.example",
        "https://hub.example:444",
        "https://cdn.hub.example",
        "https://example",
        "https://hub.example.",
        "https://hub.example@evil.example",
        "https://hub.example:0",
        "http://hub.example:443",
        "https://evil.example/https://hub.example",
    ],
)
def test_another_scheme_host_or_port_is_another_origin(other: str) -> None:
    assert urls.origin_of(other) != urls.origin_of(HUB)


def test_a_message_names_the_host_only() -> None:
    assert urls.host_of("https://u:p@cdn.example:8443/x?Signature=secret") == "cdn.example:8443"


# --- where redirects lead --------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/api/x?etag=%22ab%22", f"{HUB}/api/x?etag=%22ab%22"),
        ("tiny/b", f"{HUB}/acme/tiny/b"),
        ("//CDN.example/x", "https://cdn.example/x"),
        ("http://cdn.example:80/x#part", "http://cdn.example/x"),
        ("https://cdn.example:8443", "https://cdn.example:8443/"),
        ("HTTPS://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://10.1.2.3/x?y", "https://10.1.2.3/x?y"),
        ("/a b", f"{HUB}/a%20b"),
        ("/\xc3\xbc", f"{HUB}/%C3%BC"),  # UTF-8, as a header has it
        ('/x?name="a"|b', f"{HUB}/x?name=%22a%22%7Cb"),
        ("?x", f"{HUB}/acme/model?x"),
    ],
)
def test_a_redirect_is_followed_as_browsers_do(location: str, expected: str) -> None:
    assert urls.following(f"{HUB}/acme/model", location) == expected


def test_a_signed_address_is_followed_unchanged() -> None:
    signed = (
        "https://us.aws.cdn.hf.co/xet-bridge-us/66/ab?X-Xet-Cas-Uid=public&response-content-"
        "disposition=inline%3B+filename*%3DUTF-8%27%27a%2520b&Expires=1781098782"
        "&Policy=eyJ~-_&Signature=aB~c-d_&Key-Pair-Id=K2L8&X-Amz-Credential=A%2F20260102%2Fs3"
    )
    assert urls.following(HUB, signed) == signed


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://cdn.example/x",
        "javascript:alert(1)",
        "data:,x",
        "http://",
        "https://cdn.example:x/",
        "https://cdn.example:99999/",
        "https://cdn.example:0/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]/",
        "https://user@cdn.example/",
        "https://user:secret@cdn.example/",
        "https://a..b/",
        "https://cdn.example:/x",
        "https://cdn.example:0443/",
        "http:///x",
        "http:x",
        "https://hub.example\\@evil.example/",
        "https://cdn.ex ample/",
        "https://c\xfcn.example/",
        "/x\r\nSet-Cookie: a",
        "/x\n",
        "/x\0",
        "\thttps://cdn.example",
        f"https://{'a' * 64}.b/",
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.169.254./",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://169.254.43518/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
    ],
)
def test_a_redirect_to_what_is_no_clean_address_is_refused(location: str) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        urls.following(f"{HUB}/acme/model?Signature=abc", location)
    assert str(refused.value) == "hub.example redirects to what is no http address"


@given(anything | near_addresses)
def test_all_who_read_a_followed_address_read_the_same(location: str) -> None:
    try:
        url = urls.following(f"{HUB}/acme/model", location)
    except ProtocolViolation:
        return

    ours, theirs = urlsplit(url), httpx.URL(url)
    assert url.isascii()
    assert url.isprintable()
    assert ours.scheme == theirs.scheme
    assert ours.scheme in {"http", "https"}
    assert (ours.hostname, ours.port) == (theirs.host, theirs.port)
    assert "@" not in ours.netloc
    assert urls.following(url, url) == url


def test_giving_up_tls_is_noticed() -> None:
    assert urls.is_downgrade(HUB, "http://hub.example")
    assert not urls.is_downgrade(HUB, "https://cdn.example")
    assert not urls.is_downgrade("http://hub.example", "http://cdn.example")
    assert not urls.is_downgrade("http://hub.example", HUB)


# --- next pages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, None),
        ("", None),
        ('<https://hub.example/api/x?cursor=a%3D>; rel="next"', "cursor=a%3D"),
        ("<https://other.example/api/x?cursor=a>; rel=next", "cursor=a"),
        ('<https://h/x?p=1>; rel="prev", <https://h/x?p=3>; rel="next"', "p=3"),
        ('<https://h/x?p=3>;rel="prev NEXT last"', "p=3"),
        ('<https://h/x?p=3>; title="a, b; c"; REL="next"', "p=3"),
        ("<https://h/x?p=3>; rel=next; title=x, <https://h/x?p=4>", "p=3"),
        ("<?p=3>; rel=next", "p=3"),
        ("<https://h/x?a=1#b?c=2>; rel=next", "a=1"),
        ("<https://[/x?p=3>; rel=next", "p=3"),
        ("<https://h/x?a=\xfc b>; rel=next", "a=%C3%BC%20b"),
        ("<https://h/x>; rel=next", ""),
        ('<https://h/x?p=3>; rel="nextish"', None),
        ('<https://h/x?p=3>; xrel="next"', None),
        ('<https://h/x?p=3>; title="rel=next"', None),
        ("<https://h/x?p=3> rel=next", None),
        ("<https://h/x?p=3; rel=next", None),
        ("https://h/x?p=3; rel=next", None),
        ('<https://xet>; rel="xet-auth", <https://h/x?p=3>; rel="next"', "p=3"),
    ],
)
def test_a_link_header_names_the_next_page(link: str | None, expected: str | None) -> None:
    assert urls.next_query(link) == expected


@given(anything | st.lists(st.sampled_from([*'<>;,=" ', "rel", "next", "?a"])).map("".join))
def test_no_link_header_does_harm(link: str) -> None:
    query = urls.next_query(link)
    assert query is None or (query.isascii() and " " not in query)


@pytest.mark.parametrize("part", ["<", "<>", "<>;", '<>;a="', "<>;a=b ", ' ;"', "<>; "])
def test_a_huge_link_header_is_read_in_no_time(part: str) -> None:
    """Were the parser quadratic, this would meet the timeout of the suite."""
    assert urls.next_query(part * 300_000) is None


# --- expiry ----------------------------------------------------------------------------

NOW = 1_781_000_000.0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Expires=1781003600&Signature=x", NOW + 3600),
        ("a=b&expires=1781003600", NOW + 3600),
        ("X-Amz-Date=20260609T101320Z&X-Amz-Expires=3600", NOW + 3600),
        ("Expires=1780000000", NOW + 600),  # over before it was used: our clock is wrong
        ("Expires=soon", NOW + 600),
        ("Expires=nan", NOW + 600),
        ("Expires=", NOW + 600),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600", NOW + 600),
        ("X-Amz-Date=20260609T101320Z", NOW + 600),
        ("", NOW + 600),
    ],
)
def test_a_signed_address_says_when_it_ends(query: str, expected: float) -> None:
    assert urls.expiry_of(f"https://cdn.example/x?{query}", NOW) == expected


@given(st.dictionaries(st.sampled_from(["Expires", "X-Amz-Date", "X-Amz-Expires"]), anything))
def test_an_address_is_always_good_for_a_while(fields: dict[str, str]) -> None:
    url = str(httpx.URL("https://cdn.example/x", params=fields))
    assert urls.expiry_of(url, NOW) > NOW
