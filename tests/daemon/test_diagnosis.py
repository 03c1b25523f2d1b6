"""From facts to verdicts: what is a problem, what a note, and that advice is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from hubfs.daemon.diagnosis import daemons, disk, machine, network
from hubfs.daemon.diagnosis.daemons import MountFacts
from hubfs.daemon.diagnosis.verdicts import Level, Verdict
from hubfs.fuse.survey import FuseFacts
from hubfs.hub.survey import EndpointFacts, TokenFacts, WayFacts
from hubfs.store.inspection import IndexFacts
from hubfs.store.lock import Owner
from hubfs.store.survey import CacheFacts

GIB = 1 << 30
BUILT = {"CONFIG_FUSE_PASSTHROUGH": "y"}
ROOT = FuseFacts("6.18.4", BUILT, True, "", "/usr/bin/fusermount3", True, False, True, True)
USER = replace(ROOT, is_root=False, can_mount=False)
CACHE = CacheFacts(
    "/cache", True, "", "ext4", 99 * GIB, 200 * GIB, 10**6, True, False, None, None, False
)
HUB = EndpointFacts("https://hub.test", is_hub=True, latency=0.05, skew=0.4, left=480, quota=500)
TOKEN = TokenFacts("HF_TOKEN", is_usable=True, account="me", role="read")
WAY = WayFacts("hub.test", 2, is_encrypted=True)


def worst(verdicts: Iterable[Verdict]) -> tuple[Level, str]:
    """The verdict that matters most, as its level and its text; whoever is told gets advice."""
    found = list(verdicts)
    assert found
    for each in found:
        assert each.finding
        assert each.finding.isprintable()
    order = [Level.OK, Level.NOTE, Level.PROBLEM]
    chosen = max(found, key=lambda each: order.index(each.level))
    assert chosen.level is not Level.PROBLEM or chosen.advice, chosen
    return chosen.level, f"{chosen.finding} {chosen.advice}"


def machine_of(facts: FuseFacts) -> list[Verdict]:
    return [
        *machine.judge_kernel(facts),
        *machine.judge_fuse(facts),
        *machine.judge_rights(facts),
    ]


@pytest.mark.parametrize(
    ("facts", "changes", "level", "said"),
    [
        (ROOT, {}, Level.OK, ""),
        (ROOT, {"config": None}, Level.OK, ""),
        (ROOT, {"release": "6.8.0-generic"}, Level.NOTE, "6.9"),
        (ROOT, {"release": "4.18.0"}, Level.NOTE, "older"),
        (ROOT, {"release": "6.12.1", "config": {}}, Level.NOTE, "CONFIG_FUSE_PASSTHROUGH"),
        (ROOT, {"is_in_kernel": False}, Level.PROBLEM, "modprobe fuse"),
        (ROOT, {"device_error": "No such file or directory"}, Level.PROBLEM, "--device /dev/fuse"),
        (ROOT, {"helper": None}, Level.NOTE, "apt install fuse3"),
        (USER, {"device_error": "Permission denied"}, Level.PROBLEM, "chmod 666 /dev/fuse"),
        (USER, {"helper": None}, Level.PROBLEM, "only it can mount"),
        (USER, {"is_helper_privileged": False}, Level.PROBLEM, "setuid root"),
        (USER, {}, Level.NOTE, "user_allow_other"),
        (USER, {"allows_others": True}, Level.OK, ""),
    ],
)
def test_the_machine(facts: FuseFacts, changes: dict[str, Any], level: Level, said: str) -> None:
    found, text = worst(machine_of(replace(facts, **changes)))
    assert (found, said in text) == (level, True), text


@pytest.mark.parametrize(
    ("facts", "refusal", "level", "said"),
    [
        (ROOT, "", Level.OK, "by itself"),
        (ROOT, None, Level.NOTE, "could not be tried"),
        (ROOT, "it is on a stacked file system, such as overlayfs", Level.NOTE, "--cache-dir"),
        (USER, None, Level.NOTE, "CAP_SYS_ADMIN"),
    ],
)
def test_passthrough(facts: FuseFacts, refusal: str | None, level: Level, said: str) -> None:
    found, text = worst(machine.judge_passthrough(facts, refusal))
    assert (found, said in text) == (level, True), text


@pytest.mark.parametrize(
    ("limit", "level"), [(-1, Level.OK), (1 << 20, Level.OK), (1024, Level.NOTE)]
)
def test_limits(limit: int, level: Level) -> None:
    assert worst(machine.judge_limits(limit))[0] is level


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, ""),
        ({"exists": False}, Level.OK, ""),
        ({"is_locked": True, "owner": Owner(7, "/models")}, Level.OK, ""),
        ({"owner": Owner(7, "/models")}, Level.NOTE, "process 7, mounted at /models did not end"),
        ({"write_error": "Read-only file system"}, Level.NOTE, "nothing is kept"),
        ({"write_error": "Permission denied", "exists": False}, Level.PROBLEM, "cannot be made"),
        ({"foreign_owner": 1000}, Level.NOTE, "belongs to user 1000"),
        ({"available": GIB // 2}, Level.PROBLEM, "512.0 MiB of 200.0 GiB free"),
        ({"available": 5 * GIB}, Level.NOTE, "may not fit"),
        ({"inodes_left": 12}, Level.PROBLEM, "12 more files"),
        ({"inodes_left": None}, Level.OK, ""),
        ({"file_system": "nfs4"}, Level.PROBLEM, "local disk"),
        ({"file_system": "fuse.sshfs"}, Level.PROBLEM, "local disk"),
        ({"file_system": "tmpfs"}, Level.NOTE, "memory"),
        ({"has_nowait": False}, Level.NOTE, "do not wait"),
        ({"has_reflink": True, "file_system": "xfs"}, Level.OK, ""),
    ],
)
def test_the_cache(changes: dict[str, Any], level: Level, said: str) -> None:
    found, text = worst(disk.judge_cache(replace(CACHE, **changes)))
    assert (found, said in text) == (level, True), text


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        (IndexFacts(exists=False), Level.OK, "none"),
        (IndexFacts(exists=True, schema=1, size=1 << 20), Level.OK, "schema 1, 1.0 MiB"),
        (IndexFacts(exists=True, schema=9), Level.PROBLEM, "upgrade hubfs"),
        (IndexFacts(exists=True, damage="it is cut short"), Level.NOTE, "makes a new one"),
        (IndexFacts(exists=True, schema=1, aside=2), Level.NOTE, "2 damaged"),
    ],
)
def test_the_index(facts: IndexFacts, level: Level, said: str) -> None:
    found, text = worst(disk.judge_index(facts))
    assert (found, said in text) == (level, True), text


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, ""),
        ({"error": "no answer"}, Level.PROBLEM, "SSL_CERT_FILE"),
        ({"is_hub": False}, Level.PROBLEM, "HF_ENDPOINT"),
        ({"is_hub": False, "is_token_refused": True}, Level.OK, ""),
        ({"is_hub": False, "lists_nothing": True}, Level.NOTE, "mirrors"),
        ({"is_limited": True, "reset": 90.0}, Level.NOTE, "wait 90 s"),
        ({"latency": 3.0}, Level.NOTE, "3000 ms"),
        ({"skew": 400.0}, Level.NOTE, "400 s behind the Hub's"),
        ({"skew": -400.0}, Level.NOTE, "400 s ahead of the Hub's"),
        ({"skew": None}, Level.OK, ""),
        ({"left": 12, "reset": 90.0}, Level.NOTE, "12 of 500 requests left for 90 s"),
        ({"left": 0, "quota": None}, Level.NOTE, "0 requests left"),
        ({"left": None}, Level.OK, ""),
    ],
)
def test_the_endpoint(changes: dict[str, Any], level: Level, said: str) -> None:
    found, text = worst(network.judge_endpoint(replace(HUB, **changes)))
    assert (found, said in text) == (level, True), text


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, "from HF_TOKEN, of me, read"),
        ({"place": "", "is_usable": False}, Level.NOTE, "hf auth login"),
        ({"is_usable": False}, Level.PROBLEM, "can be no token"),
        ({"is_refused": True}, Level.PROBLEM, "refuses it"),
        ({"error": "it does not answer"}, Level.NOTE, "does not answer"),
    ],
)
def test_the_token(changes: dict[str, Any], level: Level, said: str) -> None:
    found, text = worst(network.judge_token(replace(TOKEN, **changes)))
    assert (found, said in text) == (level, True), text


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, ""),
        ({"proxy": "proxy.test:3128"}, Level.OK, ""),
        ({"proxy_error": "it is no use"}, Level.PROBLEM, "http://user:password@"),
        ({"error": "no such host", "addresses": 0}, Level.PROBLEM, "hub.test is not found"),
        ({"is_encrypted": False}, Level.NOTE, "in the clear"),
        ({"is_encrypted": False, "host": "127.0.0.1"}, Level.OK, ""),
        ({"certificates": "/etc/own.pem"}, Level.OK, ""),
    ],
)
def test_the_way(changes: dict[str, Any], level: Level, said: str) -> None:
    found, text = worst(network.judge_way(replace(WAY, **changes)))
    assert (found, said in text) == (level, True), text


STATUS = {"pid": 7, "hub": "reachable", "mode": {"way": "relay", "reason": "old kernel"}}


@pytest.mark.parametrize(
    ("is_alive", "is_listed", "status", "level", "said"),
    [
        (True, True, STATUS, Level.OK, "process 7, relay (old kernel)"),
        (True, True, {**STATUS, "hub": "hub.test is down"}, Level.NOTE, "hub.test is down"),
        (True, True, {"pid": 7, "hub": "offline"}, Level.OK, "process 7"),
        (True, True, None, Level.NOTE, "does not"),
        (True, False, None, Level.OK, "it answers"),
        (False, False, None, Level.PROBLEM, "hubfs umount --lazy /models"),
    ],
)
def test_a_mount(
    is_alive: bool, is_listed: bool, status: dict[str, object] | None, level: Level, said: str
) -> None:
    facts = MountFacts("/models", "https://hub.test", is_alive, is_listed, status)
    found, text = worst(daemons.judge_mount(facts))
    assert (found, said in text) == (level, True), text
