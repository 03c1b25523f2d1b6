"""Jobs on disk: ids in order, bounded logs, pages from the newest on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubfs.store.index import Index
from hubfs.store.journal import MOST_LINES, Journal
from hubfs.store.records import JobRecord, LogLine

JOB = JobRecord("sync", "https://hub.example", {"repo": "acme/model"}, "pending")


@pytest.fixture
def journal(index: Index) -> Journal:
    return Journal(index)


def line(text: str) -> LogLine:
    return LogLine(1.0, "info", text)


def test_ids_count_up_and_are_not_given_again(journal: Journal) -> None:
    ids = [journal.add(JOB).id for _ in range(3)]
    assert ids == [1, 2, 3]
    journal.drop([1, 2])
    assert journal.add(JOB).id == 4
    assert journal.find(1) is None


def test_a_job_is_its_own_batch_unless_it_names_one(journal: Journal) -> None:
    assert journal.add(JOB).batch == 1
    assert journal.add(replace(JOB, batch=1)).batch == 1


def test_pages_go_from_the_newest_to_the_oldest(journal: Journal) -> None:
    for _ in range(10):
        journal.add(JOB)
    assert [job.id for job in journal.recent(3)] == [10, 9, 8]
    assert [job.id for job in journal.recent(3, before=8)] == [7, 6, 5]
    assert [job.id for job in journal.recent(9, before=2)] == [1]
    assert [job.id for job in journal.recent(2, accepts=lambda job: job.id % 2 == 0)] == [10, 8]
    assert journal.recent(5, before=1) == []


def test_what_is_put_is_found_again(journal: Journal) -> None:
    job = replace(journal.add(JOB), state="failed", failures={"a": "b"}, result={"commit": "c"})
    journal.put(job)
    assert journal.find(job.id) == job
    assert journal.find(0) is None
    assert journal.find(1 << 80) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), max_size=8))
def test_a_log_keeps_its_last_lines_and_their_numbers(
    journal: Journal, batches: list[tuple[int, int]]
) -> None:
    jobs = [journal.add(JOB) for _ in range(3)]
    written: dict[int, list[str]] = {job.id: [] for job in jobs}
    for which, count in batches:
        job = jobs[which]
        texts = [f"{len(written[job.id]) + number}" for number in range(count)]
        journal.put(job, [line(text) for text in texts])
        written[job.id] += texts
    for job in jobs:
        kept = journal.log(job.id)
        assert [each.text for each in kept] == written[job.id][-MOST_LINES:]
        assert [each.number for each in kept] == [int(each.text) + 1 for each in kept]
    journal.drop([jobs[0].id])
    assert journal.log(jobs[0].id) == []
    assert [each.text for each in journal.log(jobs[1].id)] == written[jobs[1].id][-MOST_LINES:]


def test_a_log_is_read_on_from_a_line(journal: Journal) -> None:
    job = journal.add(JOB)
    journal.put(job, [line(str(number)) for number in range(9)])
    assert [each.number for each in journal.log(job.id, after=6)] == [7, 8, 9]
    assert [each.number for each in journal.log(job.id, after=2, limit=2)] == [3, 4]
