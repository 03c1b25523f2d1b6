"""Small files become blobs together: syncs are what each by itself would take."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from hubfs.errors import StoreError
from hubfs.store.blobs import Blobs, Verified


@dataclass(slots=True, eq=False)
class _Candidate:
    verified: Verified
    is_done: bool = False
    error: StoreError | None = None


class Admission:
    """Whoever comes while others are being admitted goes with the next transaction."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._turn = trio.Lock()
        self._waiting: list[_Candidate] = []

    async def admit(self, synced: Verified) -> None:
        """Make a file whose bytes are durable a blob. It is done even if the caller is cancelled.

        Raises:
            StoreError: why it could not be.
        """
        candidate = _Candidate(synced)
        self._waiting.append(candidate)
        with trio.CancelScope(shield=True):
            async with self._turn:
                if not candidate.is_done:  # by who had the turn before
                    await self._admit_waiting()
        if candidate.error is not None:
            raise candidate.error

    async def _admit_waiting(self) -> None:
        together = [*self._waiting]
        found = [each.verified for each in together]
        errors = await trio.to_thread.run_sync(self._blobs.admit_all, found)
        del self._waiting[: len(together)]
        for each, error in zip(together, errors, strict=True):
            each.is_done, each.error = True, error
