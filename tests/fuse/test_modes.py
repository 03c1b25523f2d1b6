"""How a mount is read, why, and that a trial tells it beforehand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hubfs.config import Passthrough
from hubfs.fuse import device, kernel
from hubfs.fuse.modes import Standing, mode_of
from hubfs.fuse.trial import refusal_of

AUTO, ON, OFF = Passthrough.AUTO, Passthrough.ON, Passthrough.OFF


@pytest.mark.parametrize(
    ("standing", "way", "reason"),
    [
        (Standing(AUTO, True, True, ""), "passthrough", "by itself"),
        (Standing(ON, True, True, ""), "passthrough", "by itself"),
        (Standing(AUTO, True, True, "no room"), "relay", "no room"),
        (Standing(AUTO, True, False, ""), "relay", "Linux 6.9"),
        (Standing(AUTO, False, False, ""), "relay", "CAP_SYS_ADMIN"),
        (Standing(OFF, True, False, ""), "relay", "--passthrough off"),
    ],
)
def test_the_mode_follows_from_what_is_wished_and_what_is_there(
    standing: Standing, way: str, reason: str
) -> None:
    mode = mode_of(standing)
    assert mode.way == way
    assert reason in mode.reason


@pytest.mark.mount
@pytest.mark.skipif(not device.can_mount(), reason="only root may try passthrough")
def test_a_trial_tells_a_disk_from_a_stack_and_leaves_nothing(tmp_path: Path) -> None:
    before = {each.mountpoint for each in kernel.mounts() if "trial" in each.type}
    plain = tmp_path / "file"
    plain.write_bytes(bytes(4096))
    assert refusal_of(plain) in {"", "it has no FUSE passthrough"}
    lower, upper, work, stacked = (tmp_path / name for name in ("lower", "upper", "work", "stack"))
    for each in (lower, upper, work, stacked):
        each.mkdir()
    (lower / "file").write_bytes(bytes(4096))
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "o", "-o", options, stacked], check=True)
    try:
        assert refusal_of(stacked / "file")
    finally:
        subprocess.run(["umount", stacked], check=True)
    assert {each.mountpoint for each in kernel.mounts() if "trial" in each.type} <= before
