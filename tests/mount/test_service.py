"""A service's unit at work, as far as can be seen without systemd: its commands and limits."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hubfs.cli.units import Service, unit_text
from tests.localhub import LocalHub
from tests.mount.mounted import Mounted
from tests.mount.waiting import PATIENCE


def lines_of(unit: str) -> dict[str, str]:
    """What the unit says, without quotes and prefixes."""
    pairs = (line.split("=", 1) for line in unit.splitlines() if "=" in line and line[0] != "#")
    return {name: value.lstrip("-") for name, value in pairs}


def limits_of(unit: dict[str, str]) -> list[str]:
    """The unit's capabilities for setpriv."""
    names = unit["CapabilityBoundingSet"].lower().split()
    kept = ",".join(f"+{name.removeprefix('cap_')}" for name in names)
    return [f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs"]


def test_a_daemon_needs_no_more_than_its_unit_lets_it_have(hub: LocalHub, tmp_path: Path) -> None:
    """It mounts, tells that it is ready, reloads, gives passthrough, and unmounts on SIGTERM."""
    if os.getuid():
        pytest.skip("only root has rights to lose")
    hub.create_repo("acme/model", {"config.json": b"{}"})
    mounted = Mounted(hub, tmp_path)
    mounted.root.mkdir()
    config, notify = tmp_path / "config.toml", tmp_path / "notify"
    text = f'cache_dir = "{mounted.cache}"\nendpoint = "{hub.endpoint}"\n'
    config.write_text(text + 'passthrough = "on"\nlog_level = "info"\n')
    python = Path(sys.executable)
    service = Service("hubfs", mounted.root, True, config, python, unmount=python)
    unit = lines_of(unit_text(service))
    variables = dict([shlex.split(unit["Environment"])[0].split("=")])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(PATIENCE)
        channel.bind(str(notify))
        command = ["setpriv", *limits_of(unit), "--", *shlex.split(unit["ExecStart"])]
        environment = mounted.environment | variables | {"NOTIFY_SOCKET": str(notify)}
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True
        ) as daemon:
            try:
                assert channel.recv(999).startswith(b"READY=1\n")
                assert (mounted / "acme/model/config.json").read_bytes() == b"{}"
                reload = shlex.split(unit["ExecReload"].replace("$$", "$"))
                subprocess.run(reload, env={"MAINPID": str(daemon.pid)}, check=True)
                assert channel.recv(999).startswith(b"RELOADING=1\n")
                assert channel.recv(999).startswith(b"READY=1\n")
                daemon.terminate()
                _, said = daemon.communicate(timeout=PATIENCE)
            finally:
                daemon.kill()
                mounted.stop()
    assert daemon.returncode == 0
    assert "WARNING" not in said
    assert not mounted.is_mounted
