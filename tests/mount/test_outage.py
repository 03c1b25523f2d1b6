"""The Hub being down is normal, and being offline is a promise."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from tests.localhub import LocalHub
from tests.mount.conftest import Mount
from tests.mount.looking import errno_of, is_there, names, sizes_below
from tests.mount.silence import deaf, mute
from tests.mount.waiting import wait_until

Silence = Callable[[LocalHub], AbstractContextManager[object]]

FILES = {"config.json": b"{}", "model.safetensors": b"w" * 5000}


def test_mounting_works_without_a_hub(mount: Mount, hub: LocalHub) -> None:
    """Mounting always succeeds, whether the Hub answers or not."""
    hub.down()
    mounted = mount()
    assert names(mounted.root) == {"datasets", "spaces"}
    assert mounted.root.stat().st_ino == 1


def test_an_unknown_name_is_never_taken_for_absent(mount: Mount, hub: LocalHub) -> None:
    """The Hub may be down, and nothing is taken for what it is not.

    While the Hub does not answer, a name that is not known is EIO, never a false ENOENT; all that
    is known is listed, and all that is here is read.
    """
    hub.create_repo("acme/known", FILES)
    hub.create_repo("acme/unknown", FILES)
    mounted = mount()
    assert (mounted / "acme/known").is_dir()
    hub.down()
    unknown = ["acme/unknown", "acme/known@dev", "other", "other/repo", "gpt2", "datasets/acme"]
    for name in unknown:
        assert (name, errno_of((mounted / name).stat)) == (name, "EIO")
    assert not is_there(mounted / "acme/known/absent")
    assert not is_there(mounted / "acme/a--b")
    assert "cannot be reached" in mounted.log


def test_what_is_known_is_there_and_what_is_cached_is_read(mount: Mount, hub: LocalHub) -> None:
    """What is not here is EIO once the patience is over."""
    hub.create_repo("acme/known", FILES)
    mounted = mount("--read-timeout", "1", "--metadata-ttl", "0")
    root = mounted / "acme/known"
    assert (root / "config.json").read_bytes() == FILES["config.json"]
    hub.down()
    assert sizes_below(root) == {name: len(data) for name, data in FILES.items()}
    assert (root / "config.json").read_bytes() == FILES["config.json"]
    assert errno_of((root / "model.safetensors").read_bytes) == "EIO"
    assert (root / "model.safetensors").stat().st_size == 5000
    assert "acme/known" in mounted.log.split("read fails")[1].splitlines()[0]


@pytest.mark.parametrize("silence", [mute, deaf])
def test_a_hub_that_says_nothing_holds_up_no_one_else(
    mount: Mount, hub: LocalHub, silence: Silence
) -> None:
    """Whoever asks for what is known waits for nobody, even if another waits for the Hub."""
    hub.create_repo("acme/known", FILES)
    hub.create_repo("acme/unknown", FILES)
    mounted = mount("--metadata-ttl", "0")
    assert (mounted / "acme/known/config.json").read_bytes() == FILES["config.json"]
    with ThreadPoolExecutor(1) as others:
        with silence(hub):
            mounted.remount()
            waiting = others.submit((mounted / "acme/unknown").stat)
            for _ in range(2):
                found = sizes_below(mounted / "acme/known")
                assert found == {name: len(data) for name, data in FILES.items()}
            assert names(mounted / "acme") == {"known"}
            assert (mounted / "acme/known/config.json").read_bytes() == FILES["config.json"]
            assert not waiting.done()
        waiting.result()


def test_a_hub_that_says_nothing_is_waited_for_once(mount: Mount, hub: LocalHub) -> None:
    """A Hub that says nothing fails who asks it after 10 s, and for a while all others at once."""
    mounted = mount("--idle-timeout", "1")
    with mute(hub) as connections:
        for number in range(6):
            assert errno_of((mounted / f"acme/unknown{number}").stat) == "EIO"
            assert errno_of((mounted / f"datasets/org{number}").stat) == "EIO"
        assert connections() == 1
    assert "it does not answer" in mounted.log


def test_a_hub_that_comes_back_is_used_again(mount: Mount, hub: LocalHub) -> None:
    """A Hub that comes back is used again, without a remount."""
    hub.create_repo("acme/back", FILES)
    hub.down()
    mounted = mount()
    assert errno_of((mounted / "acme/back").stat) == "EIO"
    hub.up()
    wait_until(lambda: not errno_of((mounted / "acme/back").stat))
    assert (mounted / "acme/back/model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize(
    ("option", "environment"),
    [
        (["--offline"], {}),
        ([], {"HF_HUB_OFFLINE": "1"}),
        ([], {"TRANSFORMERS_OFFLINE": "yes"}),
    ],
)
def test_offline_makes_no_request_at_all(
    mount: Mount, hub: LocalHub, option: list[str], environment: dict[str, str]
) -> None:
    """`--offline`, `HF_HUB_OFFLINE=1` or `TRANSFORMERS_OFFLINE=1`: no request is made at all."""
    commit = hub.create_repo("acme/known", FILES)
    hub.add_alias("old", "acme/known")
    mounted = mount()
    assert (mounted / "old/config.json").read_bytes() == FILES["config.json"]
    mounted.terminate()
    hub.log.clear()
    mounted.environment |= environment
    mounted.mount(*option, "--metadata-ttl", "0")
    assert sizes_below(mounted / "old") == {name: len(data) for name, data in FILES.items()}
    assert (mounted / "acme/known/config.json").read_bytes() == FILES["config.json"]
    assert (mounted / f"acme/known@{commit}/config.json").stat().st_size == 2
    assert errno_of((mounted / "acme/known/model.safetensors").read_bytes) == "EIO"
    assert errno_of((mounted / "acme/other").stat) == "EIO"
    assert errno_of((mounted / "acme/known@dev").stat) == "EIO"
    assert errno_of((mounted / "unheard-of").stat) == "EIO"
    assert not is_there(mounted / "acme/known/absent")
    assert len(hub.log) == 0
    assert "hubfs is offline" in mounted.log


def test_two_endpoints_in_one_cache_are_kept_apart(mount: Mount, hub: LocalHub) -> None:
    """One cache serves several endpoints, one at a time: names never mix, contents are shared."""
    with LocalHub() as other:
        for each, text in ((hub, b"here"), (other, b"there")):
            each.create_repo("acme/same", FILES | {"which": text})
        mounted = mount()
        assert (mounted / "acme/same/which").read_bytes() == b"here"
        assert (mounted / "acme/same/model.safetensors").read_bytes() == b"w" * 5000
        mounted.remount("--endpoint", other.endpoint)
        assert names(mounted.root) == {"datasets", "spaces"}
        assert (mounted / "acme/same/which").read_bytes() == b"there"
        assert (mounted / "acme/same/model.safetensors").read_bytes() == b"w" * 5000
        assert other.log.content_bytes("model.safetensors") == 0
