"""Olah, a mirror of the Hub that others wrote: in front of a Hub, or serving git repos itself.

What it answers is legal and unlike the Hub: files without redirects, half the
metadata, and of git repos only whole files.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.localhub import LocalHub
from tests.localhub.gitobjects import pointer_text
from tests.mount.looking import sha256
from tests.mount.waiting import wait_until

OLAH: Final = Path(__file__).parents[2] / ".mirror/bin/olah-cli"
LARGE: Final = 100_000
"""Files from this size on are kept by git-lfs."""
_ASKED: Final = re.compile(r'"GET (/\S*) HTTP')


class Olah:
    """A mirror that serves at `endpoint` and prints to `output`."""

    def __init__(self, endpoint: str, output: Path) -> None:
        self.endpoint = endpoint
        self.output = output

    def asked(self) -> Counter[str]:
        """How often it was asked for each address."""
        return Counter(_ASKED.findall(self.output.read_text()))


@contextlib.contextmanager
def mirror_of(hub: LocalHub, scratch: Path) -> Iterator[Olah]:
    """A mirror that keeps what it gets from `hub`, and asks it each second what a branch is."""
    where = {
        "hf-scheme": "http",
        "hf-netloc": hub.endpoint.removeprefix("http://"),
        "hf-lfs-netloc": hub.cdn_endpoint.removeprefix("http://"),
        "metadata-cache-ttl": 1,
    }
    with _serving(scratch, where, offline=False) as mirror:
        yield mirror


@contextlib.contextmanager
def mirror_of_git(repos: Path, scratch: Path) -> Iterator[Olah]:
    """A mirror without a Hub, which serves the git repos in `repos/models` and such."""
    with _serving(scratch, {"mirrors-path": [str(repos)]}, offline=True) as mirror:
        yield mirror


@contextlib.contextmanager
def _serving(scratch: Path, settings: Mapping[str, object], *, offline: bool) -> Iterator[Olah]:
    scratch.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = f"127.0.0.1:{port}"
    basic = {
        "host": "127.0.0.1",
        "port": port,
        "repos-path": str(scratch / "kept"),
        "mirror-netloc": place,
        "mirror-lfs-netloc": place,
        **settings,
    }
    (scratch / "olah.toml").write_text(_toml(basic=basic, accessibility={"offline": offline}))
    mirror = Olah(f"http://{place}", scratch / "output")
    command = (OLAH, "--config", scratch / "olah.toml", "--log-path", scratch / "logs")
    with (
        mirror.output.open("w") as output,
        subprocess.Popen(command, cwd=scratch, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(lambda: _answers(port) or process.poll() is not None)
            assert process.poll() is None, mirror.output.read_text()
            yield mirror
        finally:
            process.terminate()


def _toml(**tables: Mapping[str, object]) -> str:
    # JSON's values of these kinds are TOML's too.
    lines = [
        line
        for name, table in tables.items()
        for line in (f"[{name}]", *(f"{key} = {json.dumps(table[key])}" for key in table))
    ]
    return "\n".join(lines)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


class GitRepo:
    """A repo as a clone by git and git-lfs has it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self.path = path
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Add or change files; return the commit."""
        for name, data in files.items():
            self._write(name, data if len(data) < LARGE else self._pointer(data))
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message=more")
        return self._git("rev-parse", "HEAD").strip()

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _pointer(self, data: bytes) -> bytes:
        oid = sha256(data)
        self._write(f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", data)
        return pointer_text(oid, len(data))

    def _git(self, *arguments: str) -> str:
        person = {"NAME": "somebody", "EMAIL": "somebody@localhub.invalid"}
        names = {f"GIT_{who}_{it}": person[it] for who in ("AUTHOR", "COMMITTER") for it in person}
        settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=os.environ | names | settings,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout
