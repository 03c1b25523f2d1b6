"""How file content is found and delivered, asked by a client without habits.

Facts and their sources: hub-protocol.md, section 2.
"""

import gzip
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.localhub import File, LocalHub
from tests.localhub.asking import ask, follow
from tests.localhub.gitobjects import blob_oid
from tests.localhub.samples import CONFIG, STRANGE, TOKEN, WEIGHTS, api, commit_of


def test_a_plain_file_is_a_relative_redirect_away(hub: LocalHub) -> None:
    answer = ask(f"{hub.endpoint}/acme/tiny/resolve/main/config.json", "HEAD")
    commit, oid = commit_of(hub), blob_oid(CONFIG)

    assert answer.status == 307
    assert answer.headers["Location"] == (
        f"/api/resolve-cache/models/acme/tiny/{commit}/config.json"
        f"?%2Facme%2Ftiny%2Fresolve%2Fmain%2Fconfig.json=&etag=%22{oid}%22"
    )
    assert answer.headers["X-Repo-Commit"] == commit
    final = ask(answer.location)
    assert (final.status, final.body) == (200, CONFIG)
    assert final.headers["ETag"] == f'"{oid}"'
    assert final.headers["X-Repo-Commit"] == commit


def test_a_large_file_is_a_signed_address_away_on_another_origin(hub: LocalHub) -> None:
    answer = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors", "HEAD")
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()

    assert answer.status == 302
    assert answer.location.startswith(hub.cdn_endpoint + "/")
    assert hub.cdn_endpoint != hub.endpoint
    assert answer.headers["X-Linked-Size"] == str(len(WEIGHTS))
    assert answer.headers["X-Linked-ETag"] == f'"{sha256}"'
    assert answer.headers["X-Repo-Commit"] == commit_of(hub)
    assert answer.headers["X-Xet-Hash"] is None
    assert {"Expires", "Policy", "Signature"} <= set(parse_qs(urlsplit(answer.location).query))
    assert sha256 not in answer.location
    final = ask(answer.location)
    assert (final.status, final.body) == (200, WEIGHTS)
    assert sha256 not in final.headers["ETag"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_ranges_are_served(hub: LocalHub, name: str) -> None:
    data = {"config.json": CONFIG, "model.safetensors": WEIGHTS}[name]
    url, size = f"{hub.endpoint}/acme/tiny/resolve/main/{name}", len(data)

    middle = follow(url, headers={"Range": "bytes=3-9"})
    assert (middle.status, middle.body) == (206, data[3:10])
    assert middle.headers["Content-Range"] == f"bytes 3-9/{size}"
    tail = follow(url, headers={"Range": "bytes=-5"})
    assert (tail.status, tail.body) == (206, data[-5:])
    beyond = follow(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status, beyond.body) == (416, b"")
    assert beyond.headers["Content-Range"] == f"bytes */{size}"
    clipped = follow(url, headers={"Range": f"bytes={size - 1}-{size + 9}"})
    assert (clipped.status, clipped.body) == (206, data[-1:])


def test_an_empty_file_has_no_range(hub: LocalHub) -> None:
    url = f"{hub.endpoint}/acme/tiny/resolve/main/empty"

    assert follow(url).status == 200
    assert follow(url, headers={"Range": "bytes=0-0"}).status == 416


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_who_has_a_file_is_not_sent_it_again(hub: LocalHub, name: str) -> None:
    url = f"{hub.endpoint}/acme/tiny/resolve/main/{name}"
    head = ask(url, "HEAD")
    etag = head.headers["X-Linked-ETag"] or ask(head.location, "HEAD").headers["ETag"]

    answer = ask(url, headers={"If-None-Match": etag})

    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["X-Repo-Commit"] == commit_of(hub)


def test_names_with_reserved_characters_are_served(hub: LocalHub) -> None:
    quoted = "sub/a%20b%2350%25+%C3%BC%3F.txt"

    assert follow(f"{hub.endpoint}/acme/tiny/resolve/main/{quoted}").body == b"strange"
    assert hub.log.content_bytes(STRANGE) == len(b"strange")


def test_text_is_compressed_for_those_who_accept_it(hub: LocalHub) -> None:
    text = b"line\n" * 1000
    hub.push("acme/tiny", {"long.txt": text, "short.txt": b"line\n"})
    url, accept = f"{hub.endpoint}/acme/tiny/resolve/main/", {"Accept-Encoding": "gzip, br"}

    answer = follow(url + "long.txt", headers=accept)
    assert gzip.decompress(answer.body) == text
    assert answer.headers["Content-Length"] is None
    assert answer.headers["Accept-Ranges"] is None
    assert answer.headers["ETag"].startswith("W/")
    assert follow(url + "short.txt", headers=accept).body == b"line\n"
    assert follow(url + "long.txt", headers=accept | {"Range": "bytes=0-3"}).body == b"line"
    assert follow(url + "long.txt", headers={"Accept-Encoding": "identity"}).body == text


def test_the_cdn_refuses_what_is_not_signed(hub: LocalHub) -> None:
    location = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors").location

    altered = ask(location.replace("Expires=1", "Expires=2"))
    assert (altered.status, altered.headers["Content-Type"]) == (403, "application/xml")
    assert ask(location.partition("?")[0]).status == 403


def test_a_signature_expires(hub: LocalHub) -> None:
    url = f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors"
    location = ask(url).location
    assert ask(location).status == 200
    hub.expire_signatures()

    expired = ask(location)
    assert expired.status == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in expired.body
    assert ask(ask(url).location).status == 200
    hub.signature_lifetime = 0
    assert ask(ask(url).location).status == 403


def test_the_cdn_refuses_a_token(hub: LocalHub) -> None:
    location = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors").location

    assert ask(location, headers=TOKEN).status == 400


def test_raw_shows_the_pointer_of_a_large_file(hub: LocalHub) -> None:
    raw = f"{hub.endpoint}/acme/tiny/raw/main/"

    pointer = ask(raw + "model.safetensors")
    assert pointer.body.startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    assert blob_oid(pointer.body) == hub.repo("acme/tiny").head.tree.files["model.safetensors"].oid
    assert ask(raw + "config.json").body == CONFIG
    assert ask(raw + "config.json", "HEAD").headers["Content-Length"] == str(len(CONFIG))


def test_xet_is_announced_when_switched_on(hub: LocalHub) -> None:
    hub.xet = True
    url = f"{hub.endpoint}/acme/tiny/resolve/main/model.safetensors"

    answer = ask(url, "HEAD")
    xet_hash = answer.headers["X-Xet-Hash"]
    assert 'rel="xet-auth"' in answer.headers["Link"]
    assert xet_hash in answer.headers["Location"]
    info = ask(url, headers={"Accept": "application/vnd.xet-fileinfo+json, */*"})
    assert (info.status, json.loads(info.body)["hash"]) == (200, xet_hash)
    [entry] = [e for e in json.loads(api(hub, "acme/tiny/tree/main").body) if "lfs" in e]
    assert entry["xetHash"] == xet_hash
    token = api(hub, "acme/tiny/xet-read-token/main")
    assert token.headers["X-Xet-Cas-Url"] == json.loads(token.body)["casUrl"]


@pytest.mark.parametrize("content", [File(b"plain", lfs=False), File(b"large", lfs=True)])
def test_a_file_may_overrule_the_rule(hub: LocalHub, content: File) -> None:
    hub.push("acme/tiny", {"file.bin": content})

    status = ask(f"{hub.endpoint}/acme/tiny/resolve/main/file.bin").status

    assert status == (302 if content.lfs else 307)
