"""What tests that mount have in common: `pytestmark = mounts`."""

from __future__ import annotations

import os

import pytest

_can_mount = os.access("/dev/fuse", os.R_OK | os.W_OK)

mounts = [
    pytest.mark.mount,
    # By a signal: a thread would end the process, and with it the cleaning up.
    pytest.mark.timeout(180, method="signal"),
    pytest.mark.skipif(not _can_mount, reason="there is no /dev/fuse that may be opened"),
]
