"""What a verification has found so far: in its job's result, so that a restart goes on with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from hubfs.errors import JobIncomplete
from hubfs.jobs.run import Run
from hubfs.model.content import Content, Source
from hubfs.store.flaws import Finding

log = logging.getLogger(__name__)

MOST_NAMED: Final = 100
MOST_AWAITED: Final = 1000
_AFTER: Final = "after"


class Findings:
    """Counts, the first findings in words, and the contents that a repair has to fetch.

    What is in the result is replaced, never changed: a thread may be writing it down.
    """

    def __init__(self, run: Run, bad: str) -> None:
        """Go on with what `run` has found in an earlier process; or begin."""
        self._run = run
        self.result = run.result
        if _AFTER not in run.result:
            begun: Mapping[str, Any] = {
                _AFTER: "",
                "found": {},
                "put_right": 0,
                "left": 0,
                "set_aside": 0,
                "refetched": 0,
                "bad": bad,
                "findings": [],
                "awaited": {},
            }
            run.result.update(begun)

    @property
    def after(self) -> str:
        """The blob up to which all have been looked at."""
        return str(self.result[_AFTER])

    @after.setter
    def after(self, sha256: str) -> None:
        self.result[_AFTER] = sha256

    @property
    def awaited(self) -> dict[str, list[str]]:
        """By the hash of a blob that is not here any more: the keys of its contents."""
        found: dict[str, list[str]] = self.result["awaited"]
        return found

    def note(self, finding: Finding) -> None:
        """Something was wrong. The first findings are told in words, all are counted."""
        result, found, flaw = self.result, self.result["found"], finding.flaw.value
        result["found"] = {**found, flaw: found.get(flaw, 0) + 1}
        result["left" if finding.is_left else "put_right"] += 1
        result["set_aside"] += bool(finding.aside)
        if len(result["findings"]) < MOST_NAMED:
            result["findings"] = [*result["findings"], _told(finding)]
            self._tell(finding)
        if finding.keys and len(self.awaited) < MOST_AWAITED:
            result["awaited"] = {**self.awaited, finding.name: list(finding.keys)}
        if finding.is_left:
            self._run.tally.note_failure(finding.name, finding.remedy)

    def name_files(self, found: Mapping[str, tuple[Content, Source]]) -> None:
        """Say by path what people know by path: `found` is where the lost blobs are from."""
        for sha256, (_, source) in found.items():
            self._tell_more(sha256, file=str(source))

    def _tell_more(self, name: str, **more: object) -> None:
        findings = self.result["findings"]
        self.result["findings"] = [
            {**each, **more} if each["name"] == name else each for each in findings
        ]

    def note_refetched(self, sha256: str) -> None:
        """A blob that was lost is here again."""
        self.result["refetched"] += 1
        self._tell_more(sha256, remedy="fetched again")

    def note_absent(self, sha256: str, reason: str) -> None:
        """A blob that was lost cannot be had again now."""
        self.result["put_right"] -= 1
        self.result["left"] += 1
        self._tell_more(sha256, left=True, remedy=f"not fetched again: {reason}")
        self._run.log(f"{sha256} is not fetched again: {reason}", "error")

    def _tell(self, finding: Finding) -> None:
        self._run.log(str(finding), "error" if finding.is_left else "warning")
        log.log(logging.ERROR if finding.is_left else logging.WARNING, "%s", finding)

    def conclude(self) -> None:
        """The end: whoever runs the job again begins anew.

        Raises:
            JobIncomplete: something is still wrong.
        """
        del self.result[_AFTER]
        self.result["awaited"] = {}
        left = self.result["left"]
        self._run.log(summary(self.result))
        if left:
            hint = "what was wrong, and what was done: hubfs jobs ID"
            count = "1 error is" if left == 1 else f"{left} errors are"
            raise JobIncomplete(f"{count} left", may_pass=False, hint=hint)


def _told(finding: Finding) -> dict[str, Any]:
    return {
        "flaw": finding.flaw.value,
        "name": finding.name,
        "size": finding.size,
        "detail": finding.detail,
        "remedy": finding.remedy,
        "aside": finding.aside,
        "left": finding.is_left,
        "file": "",
    }


def summary(result: Mapping[str, Any]) -> str:
    """What a verification has found, in a sentence."""
    if not result["found"]:
        return "nothing is wrong"
    kinds = ", ".join(f"{count} {flaw}" for flaw, count in result["found"].items())
    return f"{kinds}; {result['put_right']} put right, {result['left']} left"
