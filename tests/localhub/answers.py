"""Answers that several routes share: JSON, file content, pages of lists."""

import gzip
import hashlib
from dataclasses import replace
from urllib.parse import quote, urlencode

from tests.localhub.content import Content
from tests.localhub.wire import (
    Headers,
    Part,
    Request,
    Response,
    Subject,
    Unsatisfiable,
    parse_range,
    read_parts,
    to_json,
    whole,
)


def json_answer(data: object, subject: Subject | None = None) -> Response:
    return json_bytes(to_json(data), subject)


def json_bytes(body: bytes, subject: Subject | None = None) -> Response:
    """Answer with JSON and the weak ETag that the Hub's framework gives it."""
    digest = hashlib.sha1(body, usedforsecurity=False).hexdigest()[:27]
    headers = (
        ("Content-Type", "application/json; charset=utf-8"),
        ("ETag", f'W/"{len(body):x}-{digest}"'),
    )
    return Response(200, headers, whole(body), subject)


def next_link(endpoint: str, request: Request, **changed: str) -> tuple[str, str]:
    """Return the header that leads to the next page: absolute, and with the same options."""
    query = {name: values[-1] for name, values in request.query.items()} | changed
    path = request.target.partition("?")[0]
    return "Link", f'<{endpoint}{path}?{urlencode(query)}>; rel="next"'


def file_answer(request: Request, content: Content, subject: Subject, headers: Headers) -> Response:
    """Answer with the asked range of a file: 200, 206 or 416."""
    headers += (("Accept-Ranges", "bytes"),)
    try:
        span = parse_range(request.headers.get("range"), content.size)
    except Unsatisfiable:
        headers += (("Content-Range", f"bytes */{content.size}"),)
        return Response(416, headers, subject=subject)
    if span is None:
        body = (Part(content.source, 0, content.size),)
        return Response(200, headers, body, subject, is_content=request.method == "GET")
    start, stop = span
    headers += (("Content-Range", f"bytes {start}-{stop - 1}/{content.size}"),)
    body = (Part(content.source, start, stop - start),)
    return Response(206, headers, body, subject, is_content=request.method == "GET")


def gzipped(response: Response) -> Response:
    """Return the answer as CloudFront compresses it: no length, no ranges, a weak ETag."""
    body = gzip.compress(read_parts(response.parts), compresslevel=1, mtime=0)
    left = tuple(item for item in response.headers if item[0] != "Accept-Ranges")
    answer = replace(response, headers=left, parts=whole(body), is_chunked=True)
    headers = (("Content-Encoding", "gzip"), *_weakened(response.header("ETag")))
    return answer.with_headers(*headers)


def _weakened(etag: str | None) -> Headers:
    return (("ETag", etag if etag.startswith("W/") else f"W/{etag}"),) if etag else ()


def disposition(path: str) -> str:
    """Return the Content-Disposition that names a download."""
    name = quote(path.rpartition("/")[2], safe="")
    return f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"


def matches(request: Request, etag: str) -> bool:
    """Tell whether the caller has this version already."""
    known = request.headers.get("if-none-match", "")
    return f'"{etag}"' in known or known.strip() == "*"
