"""Threads that come after all others: for work that a reader must not wait behind.

Where processors are scarce, the scheduler gives them what is left. A thread can be made to
yield but not, without privileges, made to count again: hence threads of their own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial as bind
from typing import Final, TypeVar

import trio

T = TypeVar("T")

YIELDING: Final = 10  # with a tenth of the weight of other threads
LAST: Final = 19


class Background:
    """Some threads of one niceness. Jobs queue for them."""

    def __init__(self, threads: int, niceness: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "background", bind(_be_nice, niceness))

    async def run(self, job: Callable[[], T], *, abandon_on_cancel: bool = False) -> T:
        """Do `job` in one of the threads, and return or raise what it does.

        Cancelled before its turn it is never done. Later its end is waited for, unless it
        may be abandoned.
        """
        token, ended = trio.lowlevel.current_trio_token(), trio.Event()

        def tell(_: object) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(ended.set)

        future = self._pool.submit(job)
        future.add_done_callback(tell)
        try:
            await ended.wait()
        except trio.Cancelled:
            if future.cancel() or abandon_on_cancel:
                raise
            with trio.CancelScope(shield=True):
                await ended.wait()
        return future.result()

    def close(self) -> None:
        """Take no more jobs, and let the threads end with theirs."""
        self._pool.shutdown(wait=False)


def _be_nice(niceness: int) -> None:
    # The disk's priority follows from the processor's, where its scheduler has any.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
