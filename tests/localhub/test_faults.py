import gzip
import math

import pytest

from tests.localhub.faults import Fault, Faults
from tests.localhub.wire import Cut, Request, Response, Subject, read_parts, whole

GET = Request("GET", "/acme/tiny/resolve/main/a%20b.bin", {"range": "bytes=10-19"})
SUBJECT = Subject("acme/tiny", "a b.bin")
PARTIAL = Response(206, (("Content-Range", "bytes 10-19/100"),), whole(b"0123456789"), SUBJECT)
REDIRECT = Response(302, (("Location", "/x"),), whole(b"Found"), SUBJECT)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status"), True),
        (Fault("status", origin="hub"), False),
        (Fault("status", method="HEAD"), False),
        (Fault("status", path="*.bin"), True),
        (Fault("status", path="acme/tiny/*"), True),
        (Fault("status", path="a b.bin"), True),
        (Fault("status", path="/acme/tiny/resolve/*/a b.bin"), True),
        (Fault("status", path="*.txt"), False),
        (Fault("status", range="bytes=10-*"), True),
        (Fault("status", range="bytes=0-*"), False),
    ],
)
def test_a_fault_concerns_what_matches_all_it_names(fault: Fault, expected: bool) -> None:
    assert fault.concerns("cdn", GET, PARTIAL) is expected


@pytest.mark.parametrize("action", ["reset_after", "stall_after", "short_body", "gzip", "corrupt"])
def test_faults_of_the_body_wait_for_a_body(action: str) -> None:
    fault = Fault(action)  # type: ignore[arg-type]
    head = Request("HEAD", GET.target, {})

    assert fault.concerns("cdn", GET, PARTIAL)
    assert not fault.concerns("cdn", GET, REDIRECT)
    assert not fault.concerns("cdn", head, PARTIAL)


@pytest.mark.parametrize("action", ["wrong_content_range", "wrong_total"])
def test_faults_of_a_range_wait_for_a_range(action: str) -> None:
    fault = Fault(action)  # type: ignore[arg-type]

    assert fault.concerns("cdn", GET, PARTIAL)
    assert not fault.concerns("cdn", GET, Response(200, (), whole(b"x")))


def test_a_range_can_only_be_ignored_where_one_was_asked_for() -> None:
    assert Fault("ignore_range").concerns("cdn", GET, PARTIAL)
    assert not Fault("ignore_range").concerns("cdn", GET.without("range"), PARTIAL)


def test_faults_are_used_up_in_order() -> None:
    faults = Faults()
    faults.add(Fault("status", status=500, times=2), Fault("status", status=502))

    taken = [faults.take("cdn", GET, PARTIAL) for _ in range(4)]

    assert [fault.status if fault else None for fault in taken] == [500, 500, 502, None]
    assert faults.waiting == []


def test_a_fault_without_a_count_stays() -> None:
    faults = Faults()
    faults.add(Fault("gzip", times=None))

    assert all(faults.take("cdn", GET, PARTIAL) for _ in range(5))
    faults.clear()
    assert faults.take("cdn", GET, PARTIAL) is None


def test_a_status_takes_the_place_of_the_answer() -> None:
    fault = Fault("status", status=429, headers={"RateLimit": '"api";r=0;t=2', "Retry-After": "2"})
    right = Response(200, (("RateLimit", '"api";r=5;t=9'), ("ETag", "x")), whole(b"data"))

    wrong = fault.applied(GET, right)

    assert wrong.status == 429
    assert wrong.header("RateLimit") == '"api";r=0;t=2'
    assert wrong.header("Retry-After") == "2"
    assert wrong.header("ETag") is None


def test_content_ranges_can_lie_about_start_and_total() -> None:
    shifted = Fault("wrong_content_range", at=5).applied(GET, PARTIAL)
    larger = Fault("wrong_total").applied(GET, PARTIAL)

    assert shifted.header("Content-Range") == "bytes 15-24/100"
    assert larger.header("Content-Range") == "bytes 10-19/101"
    assert shifted.parts == larger.parts == PARTIAL.parts


def test_one_byte_is_flipped() -> None:
    wrong = Fault("corrupt", at=3).applied(GET, PARTIAL)

    assert read_parts(wrong.parts) == b"012" + bytes([ord("3") ^ 0xFF]) + b"456789"


def test_compression_hides_the_length() -> None:
    wrong = Fault("gzip").applied(GET, PARTIAL)

    assert gzip.decompress(read_parts(wrong.parts)) == b"0123456789"
    assert b"Content-Length" not in wrong.head(keep_alive=True)


def test_an_expired_signature_is_refused_as_by_cloudfront() -> None:
    wrong = Fault("expired").applied(GET, PARTIAL)

    assert wrong.status == 403
    assert wrong.header("Content-Type") == "application/xml"
    assert b"Request has expired" in read_parts(wrong.parts)


def test_a_redirect_can_lead_to_itself() -> None:
    assert Fault("redirect_loop").applied(GET, PARTIAL).header("Location") == GET.target


@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        (Fault("reset_after", at=4), Cut(4, "reset")),
        (Fault("short_body", at=4), Cut(4, "fin")),
        (Fault("stall_after", at=4, seconds=None), Cut(4, "stall", None)),
        (Fault("close_before_answer"), Cut(None, "fin")),
    ],
)
def test_interruptions_leave_the_answer_as_it_is(fault: Fault, cut: Cut) -> None:
    wrong = fault.applied(GET, PARTIAL)

    assert (wrong.cut, wrong.parts, wrong.status) == (cut, PARTIAL.parts, 206)


def test_a_head_can_be_late_or_never_come() -> None:
    assert Fault("slow_headers", seconds=2).applied(GET, PARTIAL).delay == 2
    assert Fault("slow_headers", seconds=None).applied(GET, PARTIAL).delay == math.inf
