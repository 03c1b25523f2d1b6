"""Errors mean what they say, and their reasons can be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.localhub import Fault, LocalHub
from tests.mount.conftest import TOKEN, Mount
from tests.mount.looking import errno_of, sizes_below
from tests.mount.mounted import Mounted
from tests.mount.waiting import wait_until

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 5000}
GUEST, WRONG = "hf_guest", "hf_wrong"


@pytest.fixture
def guarded(hub: LocalHub) -> LocalHub:
    """A Hub with a repo of each kind of guard; TOKEN opens all of them, GUEST none."""
    hub.add_token(GUEST)
    # Each has contents of its own: what one repo gave is here for all that have it.
    hub.create_repo("acme/open", files_of("open"))
    hub.create_repo("acme/gated", files_of("gated"), gated="manual")
    hub.create_repo("acme/private", files_of("private"), private=True)
    hub.create_repo("acme/disabled", files_of("disabled"), disabled=True)
    return hub


def files_of(repo: str) -> dict[str, bytes]:
    return {name: data + repo.encode() for name, data in FILES.items()}


ANSWERS = {
    # token: what a look at each repo says, and what a read of its files says
    "": {"open": ("", ""), "gated": ("", "EACCES"), "private": ("ENOENT", "ENOENT")},
    GUEST: {"open": ("", ""), "gated": ("", "EACCES"), "private": ("ENOENT", "ENOENT")},
    TOKEN: {"open": ("", ""), "gated": ("", ""), "private": ("", "")},
    WRONG: dict.fromkeys(("open", "gated", "private"), ("EACCES", "EACCES")),
}


@pytest.mark.parametrize("token", ANSWERS)
def test_what_a_token_may_not_see_is_denied(mount: Mount, guarded: LocalHub, token: str) -> None:
    """What is gated, disabled, or asked for with a token that is not valid is EACCES.

    A private repo without the right token is ENOENT, as the Hub says itself.
    """
    mounted = mount(HF_TOKEN=token) if token else mount()
    found = {}
    for repo in ("open", "gated", "private", "disabled"):
        root = mounted / "acme" / repo
        reads = {errno_of((root / name).read_bytes) for name in FILES}
        found[repo] = (errno_of(root.stat), reads.pop())
        assert not reads
    assert found == ANSWERS[token] | {"disabled": ("EACCES", "EACCES")}


def test_a_gated_repo_shows_its_files_but_does_not_open_them(
    mount: Mount, guarded: LocalHub
) -> None:
    """The files of a gated repo are listed; `open` refuses them, and the log says why."""
    mounted = mount()
    expected = {name: len(data) for name, data in files_of("gated").items()}
    assert sizes_below(mounted / "acme/gated") == expected
    assert errno_of((mounted / "acme/gated/config.json").open) == "EACCES"
    assert "acme/gated" in mounted.log
    assert "access is gated" in mounted.log


def test_a_token_that_is_found_later_is_used(mount: Mount, guarded: LocalHub) -> None:
    """A token is found where `hf auth login` leaves it, also while mounted."""
    mounted = mount()
    path = mounted / "acme/gated/config.json"
    assert errno_of(path.read_bytes) == "EACCES"
    leave_token(mounted, TOKEN)
    wait_until(lambda: not errno_of(path.read_bytes))
    assert path.read_bytes() == files_of("gated")["config.json"]


def leave_token(mounted: Mounted, token: str) -> None:
    path = Path(mounted.environment["HOME"]) / ".cache/huggingface/token"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token + "\n")


def test_a_token_that_expires_denies_what_is_not_here(mount: Mount, guarded: LocalHub) -> None:
    mounted = mount(HF_TOKEN=TOKEN)
    root = mounted / "acme/private"
    assert (root / "config.json").read_bytes() == files_of("private")["config.json"]
    guarded.remove_token(TOKEN)
    assert errno_of((root / "model.safetensors").read_bytes) == "EACCES"
    assert (root / "config.json").read_bytes() == files_of("private")["config.json"]


def test_a_login_with_another_token_costs_no_reader_an_error(
    mount: Mount, guarded: LocalHub
) -> None:
    """What `hf auth login` leaves is read again when it changes, before anybody is refused."""
    mounted = mount()
    guarded.add_token("hf_old", ["acme/*"])
    leave_token(mounted, "hf_old")
    mounted.remount()
    root = mounted / "acme/private"
    assert (root / "config.json").read_bytes() == files_of("private")["config.json"]
    guarded.remove_token("hf_old")
    guarded.add_token("hf_new", ["acme/*"])
    leave_token(mounted, "hf_new")
    guarded.log.clear()
    assert (root / "model.safetensors").read_bytes() == files_of("private")["model.safetensors"]
    assert {record.authorization for record in guarded.log} == {"Bearer hf_new", None}


def test_an_absent_name_is_enoent(shared: Mounted) -> None:
    """What is not there is ENOENT: a file, a revision, a repo, an organisation."""
    shared.hub.create_repo("errors/known", FILES)
    for name in (
        "errors/known/absent.bin",
        "errors/known@absent",
        "errors/known@ffffffffffffffffffffffffffffffffffffffff",
        "errors/absent",
        "absent-organisation",
        "datasets/errors/known",
    ):
        assert (name, errno_of((shared / name).stat)) == (name, "ENOENT")


def test_a_file_that_the_hub_has_lost_is_an_error_and_not_zeros(
    mount: Mount, hub: LocalHub
) -> None:
    hub.create_repo("acme/lost", FILES)
    mounted = mount()
    path = mounted / "acme/lost/model.safetensors"
    assert path.stat().st_size == 5000
    hub.delete_repo("acme/lost")
    assert errno_of(path.read_bytes) == "ENOENT"
    assert "acme/lost" in mounted.log


@pytest.mark.parametrize("status", [400, 404, 410, 418, 501])
def test_an_answer_that_makes_no_sense_is_no_file(shared: Mounted, status: int) -> None:
    """Whatever a server answers in place of a file, nothing of it is taken for the file."""
    repo = f"errors/status-{status}"
    shared.hub.create_repo(repo, FILES)
    path = shared / f"{repo}/model.safetensors"
    assert path.stat().st_size == 5000
    shared.hub.faults.add(Fault("status", status=status, path=f"{repo}/*"))
    found = errno_of(path.read_bytes)
    shared.hub.faults.clear()
    assert found in {"", "ENOENT", "EIO"}
    wait_until(lambda: not errno_of(path.read_bytes))
    assert path.read_bytes() == FILES["model.safetensors"]


def test_the_reason_of_an_error_is_one_line_in_the_log(mount: Mount, hub: LocalHub) -> None:
    """The reason of every error is one line in the log."""
    hub.create_repo("acme/reason", FILES, disabled=True)
    hub.create_repo("acme/other", FILES)
    mounted = mount()
    assert (mounted / "acme/other").is_dir()
    assert errno_of((mounted / "acme/reason").stat) == "EACCES"
    lines = [line for line in mounted.log.splitlines() if "acme/reason" in line]
    assert len(lines) == 1
    assert lines[0].endswith("lookup fails: acme/reason: the repo is disabled")
