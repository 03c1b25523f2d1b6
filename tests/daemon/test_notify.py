"""What systemd is told, by a path or by an abstract name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hubfs.daemon.notify import Notifier


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, *, is_abstract: bool) -> None:
    name = f"@hubfs-{tmp_path}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(name.replace("@", "\0", 1))
        notifier = Notifier("all is well", {"NOTIFY_SOCKET": name})
        notifier.ready()
        notifier.reloading()
        notifier.stopping()
        ready, reloading, stopping = (channel.recv(999).decode() for _ in range(3))
    assert ready == "READY=1\nSTATUS=all is well"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert reloading.rpartition("=")[2].isdigit()
    assert stopping.startswith("STOPPING=1\n")


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/no/such/socket"}])
def test_nobody_listening_is_no_trouble(environment: dict[str, str]) -> None:
    Notifier("all is well", environment).ready()
