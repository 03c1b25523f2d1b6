"""The jobs that are kept, each with the last lines of its log.

Ids are numbers in the order of creation, never given twice: whoever drops
records leaves the newest. Writes sync the disk: call them from a worker thread.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from hubfs.store.index import Index, Table, Transaction
from hubfs.store.records import JobRecord, LogLine, pack, unpack

MOST_LINES = 500
_ID = struct.Struct(">Q")
_LINE = struct.Struct(">QI")


class Journal:
    """All jobs of one cache."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def add(self, record: JobRecord) -> JobRecord:
        """Keep a new job; return it with its id. It is its own batch if it names none."""
        return self.add_all([record])[0]

    def add_all(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Do `add` for several in one transaction; those that name no batch are one together."""

        def change(txn: Transaction) -> list[JobRecord]:
            with txn.cursor(db=self._jobs) as cursor:
                first = _ID.unpack(cursor.key())[0] + 1 if cursor.last() else 1
            known = [
                replace(record, id=number, batch=record.batch or first)
                for number, record in enumerate(records, start=first)
            ]
            for record in known:
                txn.put(_ID.pack(record.id), pack(record), db=self._jobs)
            return known

        return self._index.write(change) if records else []

    def put(self, record: JobRecord, lines: Sequence[LogLine] = ()) -> None:
        """Keep a job as it is now, and new lines of its log."""
        self.put_all([(record, lines)])

    def put_all(
        self,
        changed: Iterable[tuple[JobRecord, Sequence[LogLine]]],
        forgotten: Iterable[int] = (),
    ) -> None:
        """Do `put` for several jobs and `drop` others, in one transaction."""
        changed, forgotten = list(changed), list(forgotten)

        def change(txn: Transaction) -> None:
            for record, lines in changed:
                txn.put(_ID.pack(record.id), pack(record), db=self._jobs)
                self._append(txn, record.id, lines)
            for number in forgotten:
                txn.delete(_ID.pack(number), db=self._jobs)
                self._drop_log(txn, number)

        if changed or forgotten:
            self._index.write(change)

    def _append(self, txn: Transaction, number: int, lines: Sequence[LogLine]) -> None:
        first, last = self._bounds(txn, number)
        for at, line in enumerate(lines, start=last + 1):
            packed = pack(replace(line, number=at))
            txn.put(_LINE.pack(number, at), packed, db=self._logs)
        for at in range(first, last + len(lines) - MOST_LINES + 1):
            txn.delete(_LINE.pack(number, at), db=self._logs)

    def _bounds(self, txn: Transaction, number: int) -> tuple[int, int]:
        """The numbers of the first and the last line of a log; (1, 0) if it has none."""
        with txn.cursor(db=self._logs) as cursor:
            cursor.set_range(_LINE.pack(number, 0))
            first = self._line_of(cursor.key(), number)
            if not first:
                return 1, 0
            is_followed = cursor.set_range(_LINE.pack(number + 1, 0))
            _ = cursor.prev() if is_followed else cursor.last()
            return first, self._line_of(cursor.key(), number)

    def _line_of(self, key: bytes, number: int) -> int:
        """The number of the line at `key`, if it is one of job `number`; else 0."""
        job, line = _LINE.unpack(key) if key else (0, 0)
        return int(line) if job == number else 0

    # --- reading -----------------------------------------------------------------------

    def find(self, number: int) -> JobRecord | None:
        """The job with that id."""
        if not 0 < number < 1 << 63:
            return None
        with self._index.read() as txn:
            found = txn.get(_ID.pack(number), db=self._jobs)
        return unpack(JobRecord, found) if found else None

    def each(self, numbers: Iterable[int]) -> Iterator[JobRecord]:
        """The jobs with those ids, of which some may be gone; read as they are asked for."""
        found = map(self.find, numbers)
        return (each for each in found if each is not None)

    def recent(
        self,
        limit: int,
        before: int = 0,
        accepts: Callable[[JobRecord], bool] = lambda _: True,
        newer: Callable[[int], JobRecord | None] = lambda _: None,
    ) -> list[JobRecord]:
        """The newest jobs that `accepts`, newest first; only ids below `before`, if it is given.

        Where `newer` has a job as it is now, what is kept of it is not read.
        """
        found: list[JobRecord] = []
        with self._index.read() as txn, txn.cursor(db=self._jobs) as cursor:
            for record in self._backwards(cursor, before, newer):
                if len(found) == limit:
                    break
                if accepts(record):
                    found.append(record)
        return found

    def _backwards(
        self, cursor: Transaction, before: int, newer: Callable[[int], JobRecord | None]
    ) -> Iterator[JobRecord]:
        is_within = before > 0 and cursor.set_range(_ID.pack(before))
        is_there = cursor.prev() if is_within else cursor.last()
        while is_there:
            yield newer(_ID.unpack(cursor.key())[0]) or unpack(JobRecord, cursor.value())
            is_there = cursor.prev()

    def log(self, number: int, after: int = 0, limit: int = MOST_LINES) -> list[LogLine]:
        """The kept lines of a job's log that follow line `after`, oldest first."""
        found: list[LogLine] = []
        with self._index.read() as txn, txn.cursor(db=self._logs) as cursor:
            is_there = cursor.set_range(_LINE.pack(number, after + 1))
            while is_there and self._line_of(cursor.key(), number) and len(found) < limit:
                found.append(unpack(LogLine, cursor.value()))
                is_there = cursor.next()
        return found

    # --- forgetting --------------------------------------------------------------------

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget jobs and their logs."""
        self.put_all([], numbers)

    def _drop_log(self, txn: Transaction, number: int) -> None:
        with txn.cursor(db=self._logs) as cursor:
            is_there = cursor.set_range(_LINE.pack(number, 0))
            while is_there and self._line_of(cursor.key(), number):
                is_there = cursor.delete()

    @property
    def _jobs(self) -> Table:
        return self._index.table("jobs")

    @property
    def _logs(self) -> Table:
        return self._index.table("job_logs")
