"""What runs, what is mounted, and how each mount is read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hubfs.daemon.diagnosis.verdicts import Verdict, fine, noted, wrong


@dataclass(frozen=True, slots=True)
class MountFacts:
    """Of one mount. `status` is what its daemon says of itself, None if it cannot be asked."""

    mountpoint: str
    source: str
    is_alive: bool
    is_listed: bool
    status: dict[str, object] | None = None


def judge_mount(facts: MountFacts) -> Iterator[Verdict]:
    """Whether it lives, and whether the kernel reads by itself."""
    where = f"{facts.source} at {facts.mountpoint}"
    if not facts.is_alive:
        advice = f"mount there again, or take it away: hubfs umount --lazy {facts.mountpoint}"
        yield wrong("mount", f"{where}: its daemon is dead", advice)
    elif facts.status is None and not facts.is_listed:
        yield fine("mount", f"{where}: it answers; this user has no daemon for it")
    elif facts.status is None:
        yield noted("mount", f"{where}: it answers, its control socket does not", "see its log")
    else:
        yield from _judge_status(where, facts.status)


def _judge_status(where: str, status: dict[str, object]) -> Iterator[Verdict]:
    mode, hub = status.get("mode"), str(status.get("hub", ""))
    told = mode if isinstance(mode, dict) else {}
    text = f"{where}: process {status.get('pid')}"
    if told:
        text += f", {told.get('way')} ({told.get('reason')})"
    if hub not in {"reachable", "not asked yet", "offline"}:
        yield noted("mount", f"{text}; {hub}", "what is here is read; the rest waits for the Hub")
    else:
        yield fine("mount", text)


def judge_none() -> Iterator[Verdict]:
    """Nothing is mounted."""
    yield fine("mount", "none")


def judge_mountpoint(path: str, refusal: str, hint: str) -> Iterator[Verdict]:
    """Whether one could mount at `path`; `refusal` is why not."""
    if refusal:
        yield wrong("mountpoint", refusal, hint)
    else:
        yield fine("mountpoint", f"{path} can be mounted on")
