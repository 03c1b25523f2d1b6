"""The request log: what was asked, answered and really delivered."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from tests.localhub.wire import Request, Response

OriginName = Literal["hub", "cdn"]


@dataclass
class Record:
    """One request; fields are filled in while it is being answered.

    `body_bytes` counts what the peer's kernel acknowledged (while a body is under
    way: what was handed to ours). `status` is 0 as long as, or if, nothing is
    answered. `started` and `ended` are epoch seconds.
    """

    number: int
    origin: OriginName
    connection: int
    method: str
    target: str
    range: str | None
    authorization: str | None
    accept_encoding: str | None
    user_agent: str | None
    started: float
    status: int = 0
    body_bytes: int = 0
    is_content: bool = False
    repo: str | None = None
    path: str | None = None
    fault: str | None = None
    ended: float | None = None

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    def describe(self, response: Response, fault: str | None) -> None:
        """Take over what the answer knows."""
        self.fault = fault
        if not (response.cut and response.cut.at is None):  # else there is no answer
            self.status, self.is_content = response.status, response.is_content
        if response.subject:
            self.repo, self.path = response.subject

    def mentions(self, text: str) -> bool:
        """Tell whether `text` occurs in the decoded target or the file's repo/path."""
        return text in unquote(self.target) or text in f"{self.repo}/{self.path}"


class RequestLog:
    """Every request since the last clear, in order of arrival; thread-safe."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._records: list[Record] = []
        self._open: set[int] = set()
        self._last = 0

    def open(self, origin: OriginName, connection: int, request: Request) -> Record:
        """Start the record of a request."""
        headers = request.headers
        with self._changed:
            self._last += 1
            record = Record(
                number=self._last,
                origin=origin,
                connection=connection,
                method=request.method,
                target=request.target,
                range=headers.get("range"),
                authorization=headers.get("authorization"),
                accept_encoding=headers.get("accept-encoding"),
                user_agent=headers.get("user-agent"),
                started=time.time(),
            )
            self._records.append(record)
            self._open.add(record.number)
            self._changed.notify_all()
        return record

    def close(self, record: Record) -> None:
        """End a record; repeated calls are ignored."""
        with self._changed:
            if record.ended is None:
                record.ended = time.time()
                self._write(record)
            self._open.discard(record.number)
            self._changed.notify_all()

    def correct(self, record: Record, body_bytes: int) -> None:
        """Set how much was delivered, as far as is known."""
        with self._changed:
            record.body_bytes = body_bytes
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._records = []

    def requests(
        self,
        *,
        origin: OriginName | None = None,
        method: str | None = None,
        path_contains: str | None = None,
        status: int | None = None,
    ) -> list[Record]:
        """Return the records that match everything given."""
        return [
            record
            for record in self.all()
            if origin in {None, record.origin}
            and method in {None, record.method}
            and status in {None, record.status}
            and (path_contains is None or record.mentions(path_contains))
        ]

    def content_bytes(self, path: str | None = None) -> int:
        """Return how many bytes of file content were delivered.

        `path` is a path inside its repo, or `repo/path`.
        """
        wanted = [record for record in self.all() if record.is_content]
        if path is not None:
            wanted = [r for r in wanted if path in {r.path, f"{r.repo}/{r.path}"}]
        return sum(record.body_bytes for record in wanted)

    def wait_until(self, reached: Callable[["RequestLog"], bool], seconds: float = 10.0) -> None:
        """Wait until `reached(log)`; looked at when a request begins, progresses or ends.

        Raises:
            TimeoutError: it did not come true in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: reached(self), seconds):
                raise TimeoutError

    def wait_idle(self, seconds: float = 10.0) -> None:
        """Wait until no request is being answered."""
        self.wait_until(lambda log: not log._open, seconds)

    def all(self) -> list[Record]:
        return list(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._records)

    def as_json(self) -> list[dict[str, object]]:
        return [asdict(record) for record in self.all()]

    def _write(self, record: Record) -> None:
        if self._file:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(record)) + "\n")
