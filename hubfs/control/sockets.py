"""Where an engine listens: a Unix socket for its owner, TCP for whom it was asked to serve.

The socket of a cache is found in two ways: by a link in the cache itself, and
by a name in the runtime directory that follows from the cache's path.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from hubfs.config.places import make_runtime_dir, runtime_dir, short_name
from hubfs.errors import UsageError

LINK = "control.sock"
BACKLOG = 64
_LONGEST_ADDRESS = 107  # sun_path without its NUL


def socket_path(cache_dir: Path) -> Path:
    """Where the engine that owns `cache_dir` listens."""
    return runtime_dir() / f"{short_name(cache_dir)}.sock"


@contextlib.contextmanager
def listening(cache_dir: Path) -> Iterator[socket.socket]:
    """A listening socket for the owner of the cache, and nobody else; gone after.

    Whoever connects early waits in the backlog until it is served.

    Raises:
        StoreFull: the runtime directory cannot be used.
    """
    path = socket_path(cache_dir)
    make_runtime_dir()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with contextlib.closing(listener):
        path.unlink(missing_ok=True)  # of an owner that was killed: we hold the cache's lock
        with _short(path) as address:
            listener.bind(address)
        path.chmod(0o600)  # before `listen`: until then nobody can connect
        listener.listen(BACKLOG)
        link = cache_dir / LINK
        _try_to_link(link, path)
        try:
            yield listener
        finally:
            for each in (path, link):
                with contextlib.suppress(OSError):
                    each.unlink()


def _try_to_link(link: Path, path: Path) -> None:
    with contextlib.suppress(OSError):  # a cache that may not be written is found by name alone
        link.unlink(missing_ok=True)
        link.symlink_to(path)


@contextlib.contextmanager
def short_address(cache_dir: Path) -> Iterator[str | None]:
    """An address, good within, of the socket that answers for the cache; None if none does."""
    address: str | None
    with contextlib.ExitStack() as stack:
        for path in (cache_dir / LINK, socket_path(cache_dir)):
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
