"""What this machine has of FUSE, found out without mounting anything."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from hubfs.fuse import device

_WANTED = re.compile(r"^(CONFIG_FUSE_FS|CONFIG_FUSE_PASSTHROUGH)=(\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FuseFacts:
    """Of the kernel, its device, and the helper that mounts for who is not root.

    `config` is what the kernel was built with, None where that cannot be read.
    """

    release: str
    config: dict[str, str] | None
    is_in_kernel: bool
    device_error: str
    helper: str | None
    is_helper_privileged: bool
    allows_others: bool
    is_root: bool
    can_mount: bool


def survey() -> FuseFacts:
    """Look at everything."""
    helper = shutil.which("fusermount3")
    return FuseFacts(
        release=os.uname().release,
        config=_config(os.uname().release),
        is_in_kernel="\tfuse\n" in Path("/proc/filesystems").read_text(),
        device_error=_device_error(),
        helper=helper,
        is_helper_privileged=helper is not None and _is_setuid_root(Path(helper)),
        allows_others=_allows_others(),
        is_root=os.geteuid() == 0,
        can_mount=device.can_mount(),
    )


def _config(release: str) -> dict[str, str] | None:
    for path in (Path("/proc/config.gz"), Path(f"/boot/config-{release}")):
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(
                errors="replace"
            )
            return dict(_WANTED.findall(text))
    return None


def _device_error() -> str:
    """Why the device cannot be opened; empty if it can."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror or "it cannot be opened"
    return ""


def _is_setuid_root(path: Path) -> bool:
    found = path.stat()
    return bool(found.st_mode & stat.S_ISUID) and found.st_uid == 0


def _allows_others() -> bool:
    try:
        lines = Path("/etc/fuse.conf").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() == "user_allow_other" for line in lines)
