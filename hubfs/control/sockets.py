"""Where an engine listens: a Unix socket for its owner, TCP for whom it was asked to serve.

The socket is in the cache, which outlives any session; or, where no socket can be made there,
in the runtime directory, by a name that follows from the cache's path.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from hubfs.config.places import make_runtime_dir, runtime_dir, runtime_dirs, short_name
from hubfs.errors import StoreFull, UsageError

NAME = "control.sock"
BACKLOG = 256
_LONGEST_ADDRESS = 107  # sun_path without its NUL


@contextlib.contextmanager
def listening(cache_dir: Path) -> Iterator[socket.socket]:
    """A listening socket for the owner of the cache, and nobody else; gone after.

    Whoever connects early waits in the backlog until it is served.

    Raises:
        StoreFull: neither the cache nor the runtime directory can have it.
    """
    listener, path = _bound(cache_dir)
    with contextlib.closing(listener):
        try:
            listener.listen(BACKLOG)
            yield listener
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _bound(cache_dir: Path) -> tuple[socket.socket, Path]:
    try:
        return _bound_at(cache_dir / NAME)
    except OSError as error:  # read-only, or without sockets as some network file systems are
        make_runtime_dir()
        try:
            return _bound_at(runtime_dir() / _name_of(cache_dir))
        except OSError:
            raise StoreFull(f"no socket can be made in {cache_dir}: {error.strerror}") from error


def _bound_at(path: Path) -> tuple[socket.socket, Path]:
    path.unlink(missing_ok=True)  # of an owner that was killed: we hold the cache's lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _short(path) as address:
            listener.bind(address)
        path.chmod(0o600)  # before `listen`: until then nobody can connect
    except BaseException:
        listener.close()
        raise
    return listener, path


def _name_of(cache_dir: Path) -> str:
    return f"{short_name(cache_dir)}.sock"


@contextlib.contextmanager
def short_address(cache_dir: Path) -> Iterator[str | None]:
    """An address, good within, of the socket that answers for the cache; None if none does."""
    address: str | None
    elsewhere = (directory / _name_of(cache_dir) for directory in runtime_dirs())
    with contextlib.ExitStack() as stack:
        for path in (cache_dir / NAME, *elsewhere):
            # Not around the `yield`: errors of whoever uses the address are none of ours.
            with contextlib.suppress(OSError):
                address = stack.enter_context(_short(path))
                _check_answers(address)
                break
        else:
            address = None
        yield address


def _check_answers(address: str) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.connect(address)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """`path` as an address: the kernel takes 107 bytes, so a longer one goes by its directory."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


@contextlib.contextmanager
def listening_tcp(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket.

    Raises:
        UsageError: the address cannot be taken.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}: {error.strerror}") from error
    with contextlib.closing(listener):
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise UsageError(f"cannot listen at {host}:{port}: {error.strerror}") from error
        yield listener
