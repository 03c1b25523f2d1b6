"""What the kernel, FUSE, this user's rights and limits mean for a mount. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hubfs.daemon.diagnosis.verdicts import Verdict, fine, noted, wrong
from hubfs.fuse.survey import FuseFacts

OLDEST: Final = (5, 4)
PASSES_READS_SINCE: Final = (6, 9)
FEW_DESCRIPTORS: Final = 4096


def kernel_version(release: str) -> tuple[int, int]:
    """The first two numbers of a kernel's release; zeros where it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def judge_kernel(facts: FuseFacts) -> Iterator[Verdict]:
    """The kernel's version, and what it was built with."""
    name, version = f"Linux {facts.release}", kernel_version(facts.release)
    if version < OLDEST:
        yield noted(
            "kernel", f"{name} is older than what hubfs is tried with", "use Linux 5.4 or newer"
        )
    elif version < PASSES_READS_SINCE:
        yield noted(
            "kernel", f"{name} cannot pass reads through", "Linux 6.9 reads cached files faster"
        )
    elif facts.config is not None and facts.config.get("CONFIG_FUSE_PASSTHROUGH", "n") == "n":
        advice = "a kernel with CONFIG_FUSE_PASSTHROUGH reads cached files faster"
        yield noted("kernel", f"{name} was built without FUSE passthrough", advice)
    else:
        yield fine("kernel", name)


def judge_fuse(facts: FuseFacts) -> Iterator[Verdict]:
    """The device, and the helper without which only root mounts."""
    if not facts.is_in_kernel:
        yield wrong("fuse", "the kernel has no FUSE", "load its module: modprobe fuse")
    elif facts.device_error:
        yield wrong("fuse", f"/dev/fuse: {facts.device_error}", _device_advice(facts))
    else:
        yield fine("fuse", "/dev/fuse can be opened")
    yield from _judge_helper(facts)


def _device_advice(facts: FuseFacts) -> str:
    if "denied" in facts.device_error and not facts.is_root:
        return "let others open it, as distributions do: chmod 666 /dev/fuse"
    return "load the module: modprobe fuse; give a container --device /dev/fuse --cap-add SYS_ADMIN"


def _judge_helper(facts: FuseFacts) -> Iterator[Verdict]:
    needs = "" if facts.can_mount else ", and only it can mount for this user"
    if facts.helper is None:
        say = noted if facts.can_mount else wrong
        yield say("fusermount3", f"it is not on PATH{needs}", "apt install fuse3")
    elif not facts.is_helper_privileged and not facts.can_mount:
        advice = f"chown root {facts.helper} && chmod u+s {facts.helper}"
        yield wrong("fusermount3", f"{facts.helper} is not setuid root{needs}", advice)
    else:
        yield fine("fusermount3", facts.helper)


def judge_rights(facts: FuseFacts) -> Iterator[Verdict]:
    """Who mounts, and who may see the mount."""
    if facts.can_mount:
        yield fine("rights", "may mount by itself (CAP_SYS_ADMIN); --allow-other is open")
    elif facts.allows_others:
        yield fine("rights", "mounts through fusermount3; --allow-other is open")
    else:
        advice = "for --allow-other put the line user_allow_other into /etc/fuse.conf"
        text = "mounts through fusermount3, for this user alone"
        yield noted("rights", text, advice)


def judge_passthrough(facts: FuseFacts, refusal: str | None) -> Iterator[Verdict]:
    """Whether the kernel reads complete files by itself; no `refusal`: it was not tried."""
    if not facts.can_mount:
        text = "the daemon answers every read: passthrough needs CAP_SYS_ADMIN"
        yield noted("passthrough", text, "mount as root to read cached files at the disk's speed")
    elif refusal is None:
        yield noted(
            "passthrough", "it could not be tried: nothing can be written where the cache is"
        )
    elif refusal:
        advice = "use Linux 6.9 or newer, and a cache on a disk or a volume (--cache-dir)"
        yield noted("passthrough", f"the kernel refuses the cache: {refusal}", advice)
    else:
        yield fine("passthrough", "the kernel reads complete files by itself (tried)")


def judge_limits(descriptors: int) -> Iterator[Verdict]:
    """How many files a daemon may have open."""
    text = "unlimited" if descriptors < 0 else str(descriptors)
    if 0 <= descriptors < FEW_DESCRIPTORS:
        advice = "raise the hard limit: ulimit -Hn, or LimitNOFILE= of the service"
        yield noted("limits", f"at most {text} open files", advice)
    else:
        yield fine("limits", f"{text} open files")
