"""Contents, from the local Hub and from servers that are worse."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import (
    AccessDenied,
    BadToken,
    EntryNotFound,
    HubError,
    HubUnreachable,
    LocationExpired,
    NoConnection,
    NotOnHub,
    Offline,
    ProtocolViolation,
    RateLimited,
)
from hubfs.hub.connections import Lifeline
from hubfs.hub.content import ContentClient, ContentStream, sent_span
from hubfs.hub.credentials import Credentials
from hubfs.hub.pace import RESOLVERS, Breaker, RateLimits
from hubfs.model.content import Source
from hubfs.model.ranges import ByteRange
from tests.hub.conftest import Certificates
from tests.hub.scripted import (
    ScriptedServer,
    answering,
    chunked,
    dribbling,
    hanging_up,
    reply,
)
from tests.localhub import Fault, LocalHub
from tests.localhub.samples import CONFIG, STRANGE, WEIGHTS, commit_of

TOKEN = "hf_test"  # opens everything at the local Hub
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = Source("acme/tiny", COMMIT, "model.bin")
BODY = bytes(range(256))
SOME = ByteRange(16, 48)
SENT = reply(206, BODY[16:48], "Content-Range: bytes 16-47/256")


@contextlib.contextmanager
def client_of(
    endpoint: str, token: str | None = TOKEN, *, idle_timeout: float = 20.0, offline: bool = False
) -> Iterator[ContentClient]:
    made = ContentClient(
        endpoint,
        Credentials(endpoint, token),
        RateLimits(),
        Breaker(),
        idle_timeout=idle_timeout,
        offline=offline,
    )
    with contextlib.closing(made):
        yield made


@pytest.fixture
def client(tiny: LocalHub) -> Iterator[ContentClient]:
    with client_of(tiny.endpoint) as made:
        yield made


def place(hub: LocalHub, path: str = "model.safetensors") -> Source:
    return Source("acme/tiny", commit_of(hub), path)


def read_all(stream: ContentStream) -> bytes:
    """The bytes of the stream's own span; it is closed."""
    buffer, body = memoryview(bytearray(1 << 16)), b""
    with contextlib.closing(stream):
        while count := stream.readinto(buffer):
            body += buffer[:count]
    assert len(body) == stream.span.size
    return body


def read(client: ContentClient, source: Source, span: ByteRange, size: int) -> bytes:
    return read_all(client.open(source, span, size, Lifeline()))


def read_weights(client: ContentClient, hub: LocalHub, start: int = 0, stop: int = 1000) -> bytes:
    return read(client, place(hub), ByteRange(start, stop), len(WEIGHTS))


# --- resolving -------------------------------------------------------------------------


def test_any_range_of_any_file_can_be_read(tiny: LocalHub, client: ContentClient) -> None:
    for path, data in {
        "config.json": CONFIG,
        "model.safetensors": WEIGHTS,
        STRANGE: b"strange",
    }.items():
        for span in (ByteRange(0, len(data)), ByteRange(3, 5), ByteRange(len(data) - 1, len(data))):
            assert read(client, place(tiny, path), span, len(data)) == data[span.start : span.stop]


def test_many_ranges_cost_one_request_to_the_resolver(
    tiny: LocalHub, client: ContentClient
) -> None:
    for start in range(0, 10_000, 1000):
        read_weights(client, tiny, start, start + 1000)

    assert len(tiny.log.requests(origin="hub")) == 1
    assert len(tiny.log.requests(origin="cdn", status=206)) == 10


def test_many_ranges_cost_two_connections(tiny: LocalHub, client: ContentClient) -> None:
    for start in range(0, 10_000, 1000):
        read_weights(client, tiny, start, start + 1000)
    assert len({(each.origin, each.connection) for each in tiny.log}) == 2


def test_a_plain_file_is_resolved_once_too(tiny: LocalHub, client: ContentClient) -> None:
    for start in range(5):
        read(client, place(tiny, "config.json"), ByteRange(start, start + 3), len(CONFIG))

    resolved = tiny.log.requests(path_contains="/resolve/", status=307)
    assert len(resolved) == 1
    assert len(tiny.log.requests(path_contains="/api/resolve-cache/", status=206)) == 5
    assert tiny.log.requests(origin="cdn") == []


def test_threads_that_want_the_same_file_resolve_it_once(
    tiny: LocalHub, client: ContentClient
) -> None:
    tiny.rtt = 0.05
    together = threading.Barrier(8)
    bodies: list[bytes] = []

    def work(start: int) -> None:
        together.wait()
        bodies.append(read_weights(client, tiny, start, start + 100))

    threads = [threading.Thread(target=work, args=(number * 100,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(bodies) == sorted(WEIGHTS[at : at + 100] for at in range(0, 800, 100))
    assert len(tiny.log.requests(origin="hub")) == 1


def test_who_comes_later_need_not_wait_for_the_first_byte_of_the_first(
    tiny: LocalHub, client: ContentClient
) -> None:
    """The way to a file is known before its first byte comes, which may take a CDN long."""
    tiny.faults.add(Fault("slow_headers", seconds=None, origin="cdn"))
    lifeline = Lifeline()

    def first() -> None:
        with pytest.raises(HubUnreachable, match="given up"):
            client.open(place(tiny), ByteRange(0, 5), len(WEIGHTS), lifeline)

    thread = threading.Thread(target=first)
    thread.start()
    tiny.log.wait_until(lambda log: bool(log.requests(origin="cdn")))
    assert read_weights(client, tiny) == WEIGHTS[:1000]
    lifeline.cut()
    thread.join()
    assert len(tiny.log.requests(origin="hub")) == 1


def test_a_step_on_the_way_is_not_taken_for_its_end(tiny: LocalHub, client: ContentClient) -> None:
    source = place(tiny)
    tiny.rename_repo("acme/tiny", "acme/new")
    tiny.faults.add(Fault("status", status=503, path="*/acme/new/resolve/*"))
    with pytest.raises(HubUnreachable):
        read(client, source, ByteRange(0, 5), len(WEIGHTS))
    assert read(client, source, ByteRange(0, 5), len(WEIGHTS)) == WEIGHTS[:5]


def test_a_renamed_repo_is_followed(tiny: LocalHub, client: ContentClient) -> None:
    source = place(tiny)
    tiny.rename_repo("acme/tiny", "acme/new")
    assert read(client, source, ByteRange(0, 5), len(WEIGHTS)) == WEIGHTS[:5]


def test_a_location_about_to_end_is_not_used_again(tiny: LocalHub, client: ContentClient) -> None:
    tiny.signature_lifetime = 20.0
    for _ in range(3):
        read_weights(client, tiny)
    assert len(tiny.log.requests(origin="hub")) == 3


def test_a_location_that_is_refused_is_found_anew(tiny: LocalHub, client: ContentClient) -> None:
    read_weights(client, tiny)
    tiny.expire_signatures()
    with pytest.raises(LocationExpired, match="answered 403"):
        read_weights(client, tiny)
    assert read_weights(client, tiny) == WEIGHTS[:1000]
    assert len(tiny.log.requests(origin="hub")) == 2


def test_a_location_that_is_refused_at_first_sight_may_pass(
    tiny: LocalHub, client: ContentClient
) -> None:
    tiny.faults.add(Fault("expired", origin="cdn"))
    with pytest.raises(LocationExpired):
        read_weights(client, tiny)
    assert read_weights(client, tiny) == WEIGHTS[:1000]


def test_a_trouble_of_the_cdn_does_not_cost_another_resolve(
    tiny: LocalHub, client: ContentClient
) -> None:
    read_weights(client, tiny)
    tiny.faults.add(Fault("status", status=503, origin="cdn", times=3))
    for _ in range(3):
        with pytest.raises(HubUnreachable, match="503"):
            read_weights(client, tiny)
    assert read_weights(client, tiny) == WEIGHTS[:1000]
    assert len(tiny.log.requests(origin="hub")) == 1


def test_redirects_in_circles_end(tiny: LocalHub, client: ContentClient) -> None:
    tiny.faults.add(Fault("redirect_loop", times=None))
    with pytest.raises(ProtocolViolation, match="circles"):
        read_weights(client, tiny)
    assert len(tiny.log) == 5


@pytest.mark.parametrize(
    "fault",
    [
        Fault("ignore_range", origin="cdn"),
        Fault("short_body", at=500, origin="cdn"),
        Fault("reset_after", at=500, origin="cdn"),
        Fault("stall_after", at=500, seconds=0.01, origin="cdn"),
        Fault("close_before_answer", origin="cdn"),
        Fault("expired", origin="cdn"),
    ],
    ids=lambda fault: str(fault.action),
)
def test_under_tls_all_is_the_same(tiny_tls: LocalHub, fault: Fault) -> None:
    tiny_tls.faults.add(fault)
    with client_of(tiny_tls.endpoint) as client:
        with contextlib.suppress(HubUnreachable, LocationExpired, ProtocolViolation):
            assert read_weights(client, tiny_tls) in (WEIGHTS[:1000], WEIGHTS)
        assert tiny_tls.faults.waiting == []
        for start in range(0, 10_000, 1000):
            assert read_weights(client, tiny_tls, start, start + 7) == WEIGHTS[start : start + 7]
        data = read(client, place(tiny_tls, "config.json"), ByteRange(3, 5), len(CONFIG))
        assert data == CONFIG[3:5]
    assert {each.authorization for each in tiny_tls.log.requests(origin="cdn")} == {None}


# --- the token -------------------------------------------------------------------------


def test_the_token_stays_at_the_hub(tiny: LocalHub, client: ContentClient) -> None:
    tiny.set_access("acme/tiny", private=True)
    read_weights(client, tiny)
    read(client, place(tiny, "config.json"), ByteRange(0, 3), len(CONFIG))

    assert {each.authorization for each in tiny.log.requests(origin="hub")} == {f"Bearer {TOKEN}"}
    assert {each.authorization for each in tiny.log.requests(origin="cdn")} == {None}


@pytest.mark.parametrize("other", ["http://localhost", "http://127.0.0.1"])
def test_the_token_does_not_follow_to_another_host_or_port(other: str) -> None:
    with ScriptedServer(answering(SENT)) as cdn:
        moved = reply(302, b"", f"Location: {other}:{cdn.port}/x")
        with ScriptedServer(answering(moved)) as hub, client_of(hub.url, "hf_secret") as client:
            assert read(client, SOURCE, SOME, 256) == BODY[16:48]
        assert "authorization: Bearer hf_secret" in hub.requests[0]
        assert "hf_secret" not in cdn.requests[0]


def test_the_token_does_not_follow_out_of_tls(trusted: Certificates) -> None:
    """Contents may come in the clear, since they are checked; the token may not go there."""
    with ScriptedServer(answering(SENT)) as cdn:
        moved = reply(302, b"", f"Location: {cdn.url}/x")
        secure = ScriptedServer(answering(moved), tls=trusted.server)
        with secure as hub, client_of(hub.url, "hf_secret") as client:
            assert read(client, SOURCE, SOME, 256) == BODY[16:48]
        assert "hf_secret" not in cdn.requests[0]


def test_a_new_token_is_used_when_the_old_one_is_refused(
    tiny: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.set_access("acme/tiny", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with client_of(tiny.endpoint, None) as client:
        with pytest.raises(BadToken):
            read_weights(client, tiny)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        with pytest.raises(LocationExpired, match="token has changed"):
            read_weights(client, tiny)
        assert read_weights(client, tiny) == WEIGHTS[:1000]


# --- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "token", "expected"),
    [
        ({"private": True}, None, NotOnHub),
        ({"private": True}, "hf_other", NotOnHub),
        ({"gated": "manual"}, None, AccessDenied),
        ({"gated": "manual"}, "hf_other", AccessDenied),
        ({"disabled": True}, TOKEN, AccessDenied),
        ({}, "hf_wrong", BadToken),
    ],
)
def test_the_hub_s_refusals_have_names(
    tiny: LocalHub, access: dict[str, object], token: str | None, expected: type[HubError]
) -> None:
    tiny.add_token("hf_other", grants=["nobody/nothing"])
    tiny.set_access("acme/tiny", **access)  # type: ignore[arg-type]
    with client_of(tiny.endpoint, token) as client, pytest.raises(expected):
        read_weights(client, tiny)


def test_a_file_that_is_not_there_is_not(tiny: LocalHub, client: ContentClient) -> None:
    with pytest.raises(EntryNotFound):
        read(client, place(tiny, "none.bin"), ByteRange(0, 5), 10)


def test_a_repo_that_moves_away_while_it_is_read_is_noticed(
    tiny: LocalHub, client: ContentClient
) -> None:
    """The remembered place is refused first; only the Hub may say that all is gone."""
    source = place(tiny, "config.json")
    read(client, source, ByteRange(0, 3), len(CONFIG))
    tiny.delete_repo("acme/tiny")
    with pytest.raises(LocationExpired):
        read(client, source, ByteRange(0, 3), len(CONFIG))
    with pytest.raises(NotOnHub):
        read(client, source, ByteRange(0, 3), len(CONFIG))


def test_offline_makes_no_request(tiny: LocalHub) -> None:
    with client_of(tiny.endpoint, offline=True) as client, pytest.raises(Offline):
        read_weights(client, tiny)
    assert len(tiny.log) == 0


def test_a_rate_limit_stops_all_requests_to_the_resolver(
    tiny: LocalHub, client: ContentClient
) -> None:
    limit = {"RateLimit": '"resolvers";r=0;t=55'}
    tiny.faults.add(Fault("status", status=429, headers=limit, origin="hub"))
    with pytest.raises(RateLimited) as refused:
        read_weights(client, tiny)
    assert refused.value.retry_after == 56.0

    for path in ("model.safetensors", "config.json"):
        with pytest.raises(RateLimited) as stopped:
            read(client, place(tiny, path), ByteRange(0, 3), len(WEIGHTS))
        assert 50 < stopped.value.retry_after <= 56
    assert len(tiny.log) == 1


def test_the_cdn_is_asked_while_the_resolver_may_not_be(
    tiny: LocalHub, client: ContentClient
) -> None:
    read_weights(client, tiny)
    client.limits.close(RESOLVERS, 1e9, 600)
    assert read_weights(client, tiny) == WEIGHTS[:1000]


def test_a_quota_that_runs_out_is_noticed_before_the_refusal(
    tiny: LocalHub, client: ContentClient
) -> None:
    tiny.requests_per_window = 1
    read_weights(client, tiny)
    with pytest.raises(RateLimited):
        read(client, place(tiny, "config.json"), ByteRange(0, 3), len(CONFIG))
    assert len(tiny.log.requests(origin="hub")) == 1


def test_a_busy_cdn_stops_nobody_else(tiny: LocalHub, client: ContentClient) -> None:
    tiny.faults.add(Fault("status", status=429, headers={"Retry-After": "7"}, origin="cdn"))
    with pytest.raises(RateLimited) as refused:
        read_weights(client, tiny)
    assert refused.value.retry_after == 7.0
    assert read_weights(client, tiny) == WEIGHTS[:1000]


def test_a_hub_that_says_nothing_is_no_lack_of_a_connection(
    tiny: LocalHub, client: ContentClient
) -> None:
    tiny.faults.add(Fault("close_before_answer", origin="hub"))
    with pytest.raises(HubUnreachable) as refused:
        read_weights(client, tiny)
    assert not isinstance(refused.value, NoConnection)
    assert (client.breaker.failures, client.breaker.lacks_connection) == (1, False)


def test_a_dead_hub_is_counted_and_a_dead_cdn_is_not(tiny: LocalHub, client: ContentClient) -> None:
    tiny.faults.add(Fault("close_before_answer", origin="cdn"))
    with pytest.raises(HubUnreachable):
        read_weights(client, tiny)
    assert client.breaker.failures == 0
    tiny.down()
    with pytest.raises(NoConnection):
        read(client, place(tiny, "config.json"), ByteRange(0, 3), len(CONFIG))
    assert client.breaker.failures == 1
    assert client.breaker.lacks_connection
    tiny.up()
    assert read_weights(client, tiny) == WEIGHTS[:1000]


# --- wrong bodies ----------------------------------------------------------------------


def test_a_server_that_ignores_ranges_sends_the_whole(
    tiny: LocalHub, client: ContentClient
) -> None:
    tiny.faults.add(Fault("ignore_range", origin="cdn"))
    stream = client.open(place(tiny), ByteRange(5, 9), len(WEIGHTS), Lifeline())
    assert stream.span == ByteRange(0, len(WEIGHTS))
    stream.close()


def test_a_server_that_is_sending_the_whole_is_not_asked_for_more(
    tiny: LocalHub, client: ContentClient
) -> None:
    source = place(tiny)
    tiny.faults.add(Fault("ignore_range", origin="cdn", times=2))
    for _ in range(2):
        stream = client.open(source, SOME, len(WEIGHTS), Lifeline())
        with pytest.raises(HubUnreachable, match="one request is enough"):
            client.open(source, SOME, len(WEIGHTS), Lifeline())
        stream.close()
    assert len(tiny.log.requests(origin="cdn")) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("wrong_content_range", origin="cdn"),
        Fault("wrong_total", origin="cdn"),
        Fault("gzip", origin="cdn"),
        Fault("short_body", at=500, origin="cdn"),
        Fault("reset_after", at=500, origin="cdn"),
        Fault("close_before_answer"),
    ],
)
def test_what_is_wrong_with_a_body_is_noticed_and_passes(
    tiny: LocalHub, client: ContentClient, fault: Fault
) -> None:
    tiny.faults.add(fault)
    with pytest.raises((ProtocolViolation, HubUnreachable)):
        read_weights(client, tiny)
    assert read_weights(client, tiny) == WEIGHTS[:1000]


def test_a_listing_that_lies_about_a_size_is_noticed(tiny: LocalHub, client: ContentClient) -> None:
    with pytest.raises(ProtocolViolation):
        read(client, place(tiny), ByteRange(0, 10), len(WEIGHTS) + 1)


def test_a_body_that_stalls_is_given_up(tiny: LocalHub) -> None:
    tiny.faults.add(Fault("stall_after", at=500, seconds=None, origin="cdn"))
    with client_of(tiny.endpoint, idle_timeout=0.4) as client:
        with pytest.raises(HubUnreachable, match="nothing came"):
            read_weights(client, tiny)
        assert read_weights(client, tiny) == WEIGHTS[:1000]


def test_a_cut_ends_a_stalled_stream(tiny: LocalHub, client: ContentClient) -> None:
    tiny.faults.add(Fault("stall_after", at=500, seconds=None, origin="cdn"))
    lifeline = Lifeline()
    stream = client.open(place(tiny), ByteRange(0, 1000), len(WEIGHTS), lifeline)
    cutting = threading.Thread(target=lifeline.cut)
    cutting.start()
    with pytest.raises(HubUnreachable, match="given up"):
        read_all(stream)
    cutting.join()


def scripted_read(*answers: bytes) -> bytes:
    with ScriptedServer(hanging_up(*answers)) as hub, client_of(hub.url) as client:
        return read(client, SOURCE, SOME, 256)


RANGE = "Content-Range: bytes 16-47/256"


@pytest.mark.parametrize(
    "answer",
    [
        SENT,
        reply(206, BODY[16:48], "Content-Range: Bytes 16-47/256", "Content-Encoding: Identity"),
        chunked(206, BODY[16:20], BODY[20:48], headers=(RANGE,)),
        chunked(206, BODY[16:48], b"and more", headers=(RANGE,)),
        f"HTTP/1.0 206 x\r\n{RANGE}\r\n\r\n".encode() + BODY[16:48],
        b"HTTP/1.1 103 x\r\n\r\n" + SENT,
    ],
)
def test_a_range_may_come_in_several_shapes(answer: bytes) -> None:
    assert scripted_read(answer) == BODY[16:48]


@pytest.mark.parametrize(
    "answer",
    [reply(200, BODY), chunked(200, BODY), b"HTTP/1.0 200 OK\r\n\r\n" + BODY],
)
def test_the_whole_may_come_in_several_shapes(answer: bytes) -> None:
    assert scripted_read(answer) == BODY


@pytest.mark.parametrize(
    "answer",
    [
        reply(206, BODY[16:48]),
        reply(206, BODY[16:48], "Content-Range: bytes 16-47/*"),
        reply(206, BODY[16:48], "Content-Range: bytes 16-47/257"),
        reply(206, BODY[17:49], "Content-Range: bytes 17-48/256"),
        reply(206, BODY[16:48], RANGE, RANGE),
        reply(206, BODY[16:40], "Content-Range: bytes 16-39/256"),
        reply(206, BODY[16:40], RANGE),
        reply(206, BODY[16:48], RANGE, "Content-Encoding: gzip"),
        reply(206, BODY[16:48], RANGE, "Content-Encoding: identity, identity"),
        reply(206, b"--x", "Content-Type: multipart/byteranges; boundary=x"),
        chunked(206, BODY[16:40], headers=(RANGE,)),
        reply(200, BODY[:255]),
        reply(200, BODY + b"x"),
        chunked(200, BODY[:255]),
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:255],
        reply(200, BODY[:100], length=256),
        reply(204),
        reply(302),
        reply(304),
        reply(302, b"", "Location: "),
        reply(416, b"", "Content-Range: bytes */256"),
        b"HTTP/1.1 206 x\r\nContent-Length: -5\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
)
def test_any_other_answer_is_a_violation(answer: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        scripted_read(answer)


@given(
    st.sampled_from([200, 206]),
    st.dictionaries(
        st.sampled_from(["content-range", "content-encoding"]),
        st.text(st.characters(max_codepoint=255)),
    ),
    st.none() | st.integers(0, 10**19).map(str),
)
def test_whatever_headers_say_it_is_the_range_or_a_violation(
    status: int, headers: dict[str, str], length: str | None
) -> None:
    if length is not None:
        headers = headers | {"content-length": length}
    with contextlib.suppress(ProtocolViolation):
        assert sent_span(status, headers, SOME, 256, "it") == ByteRange(0, 256)


# --- hostile redirects -----------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://user:secret@127.0.0.1/",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://\xff/",
        "http://a b/",
    ],
)
def test_a_redirect_that_no_one_should_follow_is_refused(location: str) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        scripted_read(reply(302, b"", f"Location: {location}"), reply(500))
    assert "secret" not in str(refused.value)


def test_a_redirect_that_is_not_ascii_is_followed_byte_for_byte() -> None:
    moved = reply(302, b"", "Location: /\xc3\xbc?a b")
    with ScriptedServer(answering(moved, SENT)) as hub, client_of(hub.url) as client:
        assert read(client, SOURCE, SOME, 256) == BODY[16:48]
        assert hub.requests[1].startswith("GET /%C3%BC?a%20b HTTP/1.1\r\n")


@pytest.mark.parametrize("body", [b"x" * 60_000, b"x" * 3_000_000])
def test_a_redirect_may_have_a_body(body: bytes) -> None:
    moved = reply(302, body, "Location: /there")
    talks = [answering(moved, SENT), answering(SENT)]
    with ScriptedServer(*talks) as hub, client_of(hub.url) as client:
        assert read(client, SOURCE, SOME, 256) == BODY[16:48]
        assert hub.connections == (1 if len(body) < 65536 else 2)


def test_a_redirect_whose_body_dribbles_is_followed_all_the_same() -> None:
    moved = reply(302, b"", "Location: /there", length=1000)
    talks = [dribbling(moved, b"x"), answering(SENT)]
    with ScriptedServer(*talks) as hub, client_of(hub.url) as client:
        assert read(client, SOURCE, SOME, 256) == BODY[16:48]


def test_a_remembered_place_that_moves_is_found_anew() -> None:
    moved = reply(302, b"", "Location: /there")
    talks = [answering(SENT, moved), answering(SENT)]
    with ScriptedServer(*talks) as hub, client_of(hub.url) as client:
        read(client, SOURCE, SOME, 256)
        with pytest.raises(LocationExpired):
            read(client, SOURCE, SOME, 256)
        assert read(client, SOURCE, SOME, 256) == BODY[16:48]


def test_a_mirror_that_redirects_nowhere_is_asked_each_time() -> None:
    with ScriptedServer(answering(SENT, SENT, SENT)) as mirror, client_of(mirror.url) as client:
        for _ in range(3):
            read(client, SOURCE, SOME, 256)
        resolve = f"GET /acme/tiny/resolve/{COMMIT}/model.bin HTTP/1.1"
        assert [each.split("\r\n")[0] for each in mirror.requests] == [resolve] * 3


def test_a_mirror_that_sends_chunks_is_asked_on_one_connection() -> None:
    whole = chunked(200, BODY)
    with ScriptedServer(answering(whole, whole, whole)) as mirror, client_of(mirror.url) as client:
        for _ in range(3):
            assert read(client, SOURCE, SOME, 256) == BODY
        assert mirror.connections == 1


def test_a_body_that_goes_on_does_not_answer_the_next_request() -> None:
    """What is left of one answer would be taken for the start of the next one."""
    forged = reply(206, bytes(32), RANGE)
    talks = [answering(SENT + forged), answering(SENT)]
    with ScriptedServer(*talks) as hub, client_of(hub.url) as client:
        for _ in range(2):
            assert read(client, SOURCE, SOME, 256) == BODY[16:48]
        assert hub.connections == 2


# --- words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        reply(403),
        reply(404),
        reply(500),
        reply(429),
        reply(302, b"", "Location: ftp://x/?Signature=secret"),
        reply(206, b"", "Content-Range: bytes 0-1/2"),
        reply(206, BODY[16:20], RANGE, length=32),
        b"HTTP/1.1 206 x\r\nLocation: https://x/?Signature=secret\0\r\n\r\n",
        b"",
    ],
)
def test_no_failure_tells_a_signature_or_a_token(answer: bytes) -> None:
    with ScriptedServer(hanging_up(answer)) as cdn:
        moved = reply(302, b"", f"Location: {cdn.url}/x?Expires=99&Signature=secret")
        with (
            ScriptedServer(answering(moved)) as hub,
            client_of(hub.url, "hf_secret") as client,
            pytest.raises(HubError) as failed,
        ):
            read(client, SOURCE, SOME, 256)
    for text in (str(failed.value), failed.value.hint, repr(failed.value)):
        assert "secret" not in text
