"""All checks: each gathers its facts, with what it needs loaded late, and has them judged."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial as bind
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hubfs.config import Settings
from hubfs.config.resolving import sources_of
from hubfs.daemon.diagnosis import daemons
from hubfs.daemon.diagnosis.apart import Check
from hubfs.daemon.diagnosis.daemons import MountFacts
from hubfs.daemon.diagnosis.verdicts import Verdict, fine, noted
from hubfs.daemon.registry import Running, find_running
from hubfs.daemon.secrets import exposed
from hubfs.errors import HubfsError, MountFailed
from hubfs.fuse import kernel, mountpoints
from hubfs.model.mountinfo import MountEntry

QUICK, SLOW = 10.0, 25.0


@dataclass(frozen=True, slots=True)
class Checks:
    """What is to be found out for `settings`; its mountpoint, if any, is one that is wished for."""

    settings: Settings

    def all(self) -> list[Check]:
        """Every check, in the order in which they are told."""
        everything = [
            Check("libraries", QUICK, self._libraries),
            Check("fuse", QUICK, self._fuse),
            Check("passthrough", QUICK, self._passthrough),
            Check("limits", QUICK, self._limits),
            Check("secrets", QUICK, _secrets),
            Check("cache", QUICK, self._cache),
            Check("index", QUICK, self._index),
        ]
        if self.settings.offline:
            everything.append(Check("endpoint", QUICK, _offline))
        else:
            everything += [
                Check("name", QUICK, self._way),
                Check("endpoint", SLOW, self._endpoint),
                Check("token", SLOW, self._token),
            ]
        if self.settings.mountpoint is not None and not _is_ours(self.settings.mountpoint):
            everything.append(Check("mountpoint", QUICK, self._mountpoint))
        return everything + _mount_checks(self.settings.cache_dir)

    def _libraries(self) -> Iterator[Verdict]:
        import pyfuse3  # noqa: F401, PLC0415 - that it loads is what is checked

        yield fine("libraries", f"hubfs {version('hubfs')}, pyfuse3 {version('pyfuse3')}")

    # --- the machine -------------------------------------------------------------------

    def _fuse(self) -> Iterator[Verdict]:
        from hubfs.daemon.diagnosis import machine  # noqa: PLC0415
        from hubfs.fuse.survey import survey  # noqa: PLC0415

        facts = survey()
        yield from machine.judge_kernel(facts)
        yield from machine.judge_fuse(facts)
        yield from machine.judge_rights(facts)

    def _passthrough(self) -> Iterator[Verdict]:
        from hubfs.daemon.diagnosis import machine  # noqa: PLC0415
        from hubfs.fuse.survey import survey  # noqa: PLC0415
        from hubfs.fuse.trial import refusal_of  # noqa: PLC0415
        from hubfs.store.survey import trial_file  # noqa: PLC0415

        facts, refusal = survey(), None
        if facts.can_mount:
            with contextlib.suppress(OSError), trial_file(self.settings.cache_dir) as file:
                refusal = refusal_of(file)
        yield from machine.judge_passthrough(facts, refusal)

    def _limits(self) -> Iterator[Verdict]:
        from hubfs.daemon.diagnosis import machine  # noqa: PLC0415

        yield from machine.judge_limits(resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    def _mountpoint(self) -> Iterator[Verdict]:
        path = self.settings.mountpoint or Path()
        refusal = hint = ""
        try:
            mountpoints.check(path)
        except MountFailed as error:
            refusal, hint = str(error), error.hint
        yield from daemons.judge_mountpoint(str(path), refusal, hint)

    # --- the disk ----------------------------------------------------------------------

    def _cache(self) -> Iterator[Verdict]:
        from hubfs.daemon.diagnosis.disk import judge_cache  # noqa: PLC0415
        from hubfs.store.survey import survey  # noqa: PLC0415

        yield from judge_cache(survey(self.settings.cache_dir))

    def _index(self) -> Iterator[Verdict]:
        from hubfs.daemon.diagnosis.disk import judge_index  # noqa: PLC0415
        from hubfs.store.inspection import inspect  # noqa: PLC0415

        yield from judge_index(inspect(self.settings.cache_dir))

    # --- the network -------------------------------------------------------------------

    def _way(self) -> Iterator[Verdict]:
        from hubfs.daemon.diagnosis.network import judge_way  # noqa: PLC0415
        from hubfs.hub.survey import survey_way  # noqa: PLC0415

        yield from judge_way(survey_way(self.settings.endpoint))

    def _endpoint(self) -> Iterator[Verdict]:
        import trio  # noqa: PLC0415

        from hubfs.daemon.diagnosis.network import judge_endpoint  # noqa: PLC0415
        from hubfs.hub.survey import survey_endpoint  # noqa: PLC0415

        yield from judge_endpoint(
            trio.run(survey_endpoint, self.settings.endpoint, self.settings.token_file)
        )

    def _token(self) -> Iterator[Verdict]:
        import trio  # noqa: PLC0415

        from hubfs.daemon.diagnosis.network import judge_token  # noqa: PLC0415
        from hubfs.hub.survey import survey_token  # noqa: PLC0415

        yield from judge_token(
            trio.run(survey_token, self.settings.endpoint, self.settings.token_file)
        )


def _secrets() -> Iterator[Verdict]:
    from hubfs.daemon.diagnosis.exposure import judge_secrets  # noqa: PLC0415

    yield from judge_secrets(exposed(sources_of({}, os.environ).combined(), os.environ))


def _offline() -> Iterator[Verdict]:
    yield noted("endpoint", "hubfs is told to make no request, so it is not asked")


# --- mounts ----------------------------------------------------------------------------


def _is_ours(path: Path) -> bool:
    found = kernel.find_mount(path)
    return found is not None and found.type == mountpoints.TYPE


def _mount_checks(cache: Path) -> list[Check]:
    """A check for each mount: a dead one may hold whoever asks it."""
    mounts = [each for each in kernel.mounts() if each.type == mountpoints.TYPE]
    if not mounts:
        return [Check("mount", QUICK, daemons.judge_none)]
    return [Check("mount", QUICK, bind(_judged, each, cache)) for each in mounts]


def _judged(mount: MountEntry, cache: Path) -> Iterator[Verdict]:
    path = Path(mount.mountpoint)
    running = find_running(path, cache)
    facts = MountFacts(
        mount.mountpoint,
        mount.source,
        is_alive=mountpoints.is_alive(path),
        is_listed=running is not None,
        status=_status_of(running) if running else None,
    )
    yield from daemons.judge_mount(facts)


def _status_of(running: Running) -> dict[str, Any] | None:
    from hubfs.control.client import Client  # noqa: PLC0415
    from hubfs.control.sockets import short_address  # noqa: PLC0415

    with short_address(Path(running.cache_dir)) as address:
        if address is None:
            return None
        with contextlib.suppress(HubfsError), contextlib.closing(Client(address)) as client:
            return client.get("/v1/hub/status")
    return None
