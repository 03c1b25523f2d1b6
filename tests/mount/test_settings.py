"""Settings at work: files, signals, owners, the log, and what systemd is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.mounted import Mounted
from tests.mount.test_users import NOBODY


class Configured:
    """A mount with a configuration file, and a socket on which it tells of itself."""

    def __init__(self, mount: Mount, scratch: Path, channel: socket.socket) -> None:
        self.file = scratch / "config.toml"
        self.token = scratch / "token"
        self._channel = channel
        self._usual = f'token_file = "{self.token}"\nlog_format = "json"\n'
        self.write("uid = 1234\ngid = 5678\numask = '027'\nallow_other = true\n")
        self.mounted: Mounted = mount(
            HUBFS_CONFIG=str(self.file), NOTIFY_SOCKET=channel.getsockname()
        )

    def write(self, text: str) -> None:
        self.file.write_text(self._usual + text)

    def told(self) -> str:
        """The first line of what systemd is told next."""
        return self._channel.recv(999).decode().partition("\n")[0]

    def reload(self, text: str) -> list[str]:
        """Have a daemon read this; return what it logs of that."""
        before = len(self.messages())
        self.write(text)
        os.kill(self.mounted.pid, signal.SIGHUP)
        assert (self.told(), self.told()) == ("RELOADING=1", "READY=1")
        return self.messages()[before:]

    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.mounted.log.splitlines()]


@pytest.fixture
def configured(mount: Mount, hub: LocalHub, tmp_path: Path) -> Iterator[Configured]:
    hub.add_token("hf_first", ["acme/*"])
    hub.add_token("hf_second", ["acme/*", "other/*"])
    for name in ("acme/one", "other/two", "acme/three"):
        hub.create_repo(name, {"config.json": name.encode()}, private=True)
    (tmp_path / "token").write_text("hf_first")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(60)
        channel.bind(str(tmp_path / "notify"))
        yield Configured(mount, tmp_path, channel)


def test_a_daemon_takes_new_settings_and_a_new_token_and_a_new_log(
    configured: Configured, hub: LocalHub
) -> None:
    """It goes through all that may befall a daemon that is not to be restarted.

    SIGHUP has the configuration read again. What a running daemon can take it takes, what needs
    a remount is named in the log, and a file that cannot be right changes nothing.
    The log file is opened anew: it may have been renamed.
    A token file that changes is read again, without a restart.
    Started by systemd (`Type=notify`), a daemon tells when it is ready, reloading, and stopping.
    """
    mounted = configured.mounted
    assert configured.told() == "READY=1"
    assert (mounted / "acme/one/config.json").read_bytes() == b"acme/one"
    configured.token.write_text("hf_second")
    assert (mounted / "other/two/config.json").read_bytes() == b"other/two"

    said = configured.reload("max_connections = 3\nidle_timeout = 7\n")
    assert "reloaded: max_connections = 3" in said
    assert [line for line in said if line.startswith("these settings need a remount: ")]
    (said_last,) = configured.reload("max_connections = 0\n")
    assert said_last.startswith(f"the settings stay as they were: {configured.file}: max_conn")

    log = mounted.cache / "hubfs.log"
    log.rename(mounted.cache / "hubfs.log.1")
    assert configured.reload("") != []
    assert log.exists()
    assert (mounted / "acme/three/config.json").read_bytes() == b"acme/three"
    command = Path(f"/proc/{mounted.pid}/cmdline").read_bytes()
    assert b"token" not in command
    assert b"hf_second" not in log.read_bytes() + (mounted.cache / "hubfs.log.1").read_bytes()
    mounted.terminate()
    assert configured.told() == "STOPPING=1"


def listed(directory: Path, gid: int) -> int:
    """The exit code of `ls`, as a user who has no rights but those of the group `gid`."""
    ids = [f"--reuid={NOBODY}", f"--regid={gid}", "--clear-groups"]
    command = ["setpriv", *ids, "--", "ls", "."]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode


def test_owners_and_modes_are_those_that_are_given(configured: Configured) -> None:
    """Group 5678 may read, others may not.

    `--uid`, `--gid` and `--umask` show other owners and fewer rights, and the kernel holds to
    them.
    """
    mounted = configured.mounted
    for path, mode in ((mounted / "acme/one", 0o550), (mounted / "acme/one/config.json", 0o440)):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (1234, 5678)
        assert stat.S_IMODE(found.st_mode) == mode
    if os.getuid():
        pytest.skip("only root may become another user")
    assert listed(mounted.root, 5678) == 0
    assert listed(mounted.root, NOBODY) == 2
