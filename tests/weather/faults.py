"""Everything that goes wrong between a Hub and its readers, by name.

`PASSING` faults end by themselves: readers notice nothing but a delay. While a
`LASTING` one lasts, readers are told what it is once their patience ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.localhub import Fault

KIB = 1 << 10
NOWHERE = {"Location": "http://hubfs-test.invalid/file"}
REFUSING = {"Location": "http://127.0.0.1:1/file"}
SENSELESS = {"Location": "http://127.0.0.1:notaport/file"}
FULL_BUCKET = {"RateLimit": '"resolvers";r=0;t=1'}
LATER = {"Retry-After": "1"}

# Of the contents, and of the addresses that lead there.
PASSING: Mapping[str, Sequence[Fault]] = {
    "reset before a byte": [Fault("reset_after", origin="cdn")],
    "reset in mid-body": [Fault("reset_after", at=20 * KIB + 1, origin="cdn", times=3)],
    "reset of the address": [Fault("reset_after", at=1, origin="hub")],
    "stall before a byte": [Fault("stall_after", seconds=None, origin="cdn")],
    "stall in mid-body": [Fault("stall_after", at=20 * KIB, seconds=None, origin="cdn", times=2)],
    "silence instead of a head": [Fault("slow_headers", seconds=None, times=2)],
    "short body": [Fault("short_body", at=20 * KIB + 1, origin="cdn", times=3)],
    "empty body": [Fault("short_body", origin="cdn", times=2)],
    "whole instead of a range": [Fault("ignore_range", origin="cdn")],
    "another range than asked for": [Fault("wrong_content_range", at=4096, times=3)],
    "another total": [Fault("wrong_total", at=-1, times=3)],
    "gzip though not asked for": [Fault("gzip", origin="cdn", times=3)],
    "rate limit with a bucket": [Fault("status", status=429, headers=FULL_BUCKET, origin="hub")],
    "rate limit with a time": [Fault("status", status=429, headers=LATER, origin="hub")],
    "rate limit of the content": [Fault("status", status=429, headers=LATER, origin="cdn")],
    "rate limit without a word": [Fault("status", status=429, origin="cdn")],
    "burst of errors": [Fault("status", status=each) for each in (500, 502, 503, 504)],
    "errors of the content": [Fault("status", status=500, origin="cdn", times=4)],
    "expired signature": [Fault("expired", origin="cdn", times=2)],
    "content not found": [Fault("status", status=404, origin="cdn")],
    "range not satisfiable": [Fault("status", status=416, origin="cdn")],
    "teapot": [Fault("status", status=418, origin="cdn")],
    "redirect in circles": [Fault("redirect_loop", origin="hub", times=12)],
    "redirect to a name that is none": [
        Fault("status", status=302, headers=NOWHERE, origin="hub", times=2)
    ],
    "redirect to a closed port": [
        Fault("status", status=302, headers=REFUSING, origin="hub", times=2)
    ],
    "redirect without sense": [
        Fault("status", status=302, headers=SENSELESS, origin="hub", times=2)
    ],
    "redirect without an address": [Fault("status", status=302, origin="hub", times=2)],
    "no answer": [Fault("close_before_answer", times=3)],
}

_LASTING = {
    "reset before a byte": "cannot be reached",
    "silence instead of a head": "cannot be reached",
    "empty body": "early",
    "another range than asked for": "asked for",
    "another total": "asked for",
    "gzip though not asked for": "encoded",
    "rate limit with a time": "rate limit",
    "errors of the content": "answered 500",
    "expired signature": "answered 403",
    "redirect in circles": "circles",
    "redirect to a name that is none": "hubfs-test.invalid",
    "redirect to a closed port": "127.0.0.1:1",
    "redirect without sense": "redirects",
    "no answer": "cannot be reached",
}
LASTING: Mapping[str, tuple[Fault, str]] = {
    name: (replace(PASSING[name][0], times=None), reason) for name, reason in _LASTING.items()
}
"""Each with a part of the reason that a reader is given in the end."""
