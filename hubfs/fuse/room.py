"""Room for answers in the socket through which libfuse sends them.

libfuse waits for room with Python's lock held: the threads that would make room could
not run. So nobody answers before there is some.
"""

from __future__ import annotations

import trio

from hubfs.fuse import brief


class Room:
    """Of one socket; for the tasks of one event loop."""

    def __init__(self, endpoint: int) -> None:
        """Look after the sending end `endpoint`, which must be no regular file."""
        self._endpoint = endpoint
        self._turns = trio.Lock()  # trio lets one task at a time wait for a descriptor

    async def wait(self) -> None:
        """Wait until one message may be sent that is no larger than half of the buffer.

        It must be sent before anything else is waited for. The kernel speaks of room from three
        quarters of the buffer on (`unix_writable` of net/unix/af_unix.c), so notifications of
        other threads, which are small, may come in between.
        """
        while not brief.can_write(self._endpoint):
            async with self._turns:
                if not brief.can_write(self._endpoint):
                    await trio.lowlevel.wait_writable(self._endpoint)
