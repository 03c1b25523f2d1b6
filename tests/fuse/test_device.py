"""What is said of a FUSE device that cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hubfs.errors import MountFailed
from hubfs.fuse import device


def refusal(directory: Path) -> MountFailed:
    with pytest.raises(MountFailed) as refused:
        device.mount(directory, "hubfs", subtype="hubfs", allow_other=False)
    return refused.value


def test_without_the_kernels_module_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "DEVICE", str(tmp_path / "fuse"))
    assert "modprobe fuse" in refusal(tmp_path).hint


def test_a_device_for_others_alone_is_opened_by_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs as a user of the image."""
    monkeypatch.setattr(device, "DEVICE", str(tmp_path))  # root may open what it likes but this
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "chmod 666 /dev/fuse" in refusal(tmp_path).hint


@pytest.mark.parametrize("helper", ["true", "exec sleep 60"])
def test_a_helper_that_brings_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: str
) -> None:
    """An older one, say, that knows of no socket; or one that waits for something."""
    script = tmp_path / "fusermount3"
    script.write_text(f"#!/bin/sh\n{helper}\n")
    script.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(device, "can_mount", lambda: False)
    monkeypatch.setattr(device, "HELPER_WITHIN", 0.5)
    assert str(refusal(tmp_path)).startswith("fusermount3 ")


def test_nothing_is_in_the_way_of_a_device_that_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fuse").touch()
    monkeypatch.setattr(device, "DEVICE", str(tmp_path / "fuse"))
    assert not device.obstacle()
