"""`pin`, `unpin`, `gc` and `rm`, with a daemon and without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.localhub import LocalHub


@pytest.fixture(params=["daemon", "alone"])
def shell(request: pytest.FixtureRequest, hub: LocalHub, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(hub, tmp_path)
    with ExitStack() as stack:
        if request.param == "daemon":
            stack.enter_context(shell.daemon())
        yield shell


def test_room_is_made_but_for_what_is_pinned(shell: Shell) -> None:
    assert "no such repo" in shell.run("pin", "acme/none", code=1)
    assert "1.0 MiB of it are not here" in shell.run("pin", "acme/model@main:*.gguf")
    assert shell.json("unpin", "acme/model@main:*.gguf") == []
    shell.run("prefetch", "acme/model")
    assert "1 file, 1.0 MiB" in shell.run("pin", "acme/model:*.gguf")
    assert [pin["cached"] for pin in shell.json("pin")] == [1 << 20]
    assert "acme/model:*.gguf" in shell.run("pin")
    assert "acme/model/model-fp16.safetensors" in shell.run("gc", "--to", "0", "--dry-run")
    done = shell.run("gc", "--to", "0")
    assert "are pinned or open" in done
    assert "3.0 MiB deleted" in done
    status = shell.json("status")["cache"]
    assert (status["blobs"], status["pinned"]) == (1, status["taken"])
    assert "pinned" in shell.run("status")
    assert "none of its files is called so" in shell.run("pin", "acme/model:*.nope")
    shell.run("unpin", "acme/model:*.nope")
    refused = shell.run("rm", "acme/model", code=1)
    assert "is pinned" in refused
    assert "hubfs unpin 'acme/model:*.gguf'" in refused
    assert "pinned are acme/model:*.gguf" in shell.run("unpin", "acme/model", code=1)
    assert "name pins" in shell.run("unpin", code=2)
    assert shell.json("unpin", "--all") == []
    assert "acme/model is forgotten" in shell.run("rm", "acme/model")
    assert shell.json("ls") == []
    refused = shell.run("rm", "acme/model", code=1)
    assert "not known here" in refused
    assert "hubfs ls tells which are; hubfs register acme/model makes it known" in refused
    assert shell.json("status")["cache"]["blobs"] == 0
