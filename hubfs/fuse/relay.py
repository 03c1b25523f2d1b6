"""Between the kernel and libfuse: adds what neither libfuse nor pyfuse3 can say.

libfuse serves one end of a socket pair; two threads carry messages between the
other end and the FUSE device. On the way up, requests that need not wait for
the event loop are answered here: READs of bytes that are at hand, and what is
asked about names and inodes within repos.
On the way down, INIT's and OPEN's answers gain passthrough, and the bytes of
other READs join (see `parcels`).

A third thread sends what may have to wait: notifications, while a directory is
busy, and requests of our own. A fourth watches interrupted requests.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from hubfs.counters import COUNTERS
from hubfs.errors import HubfsError, StoreError
from hubfs.fs.attributes import Attributes
from hubfs.fuse import brief, wire
from hubfs.fuse.backing import Backings, KernelRegistrar
from hubfs.fuse.interrupts import should_leave
from hubfs.fuse.parcels import Parcels
from hubfs.fuse.promptness import be_prompt
from hubfs.fuse.stats import Permissions
from hubfs.fuse.wire import IN_HEADER, OUT_HEADER, Opcode
from hubfs.store.reading import LARGEST_READ, Extent, drop_behind, read_blocking, read_nowait

log = logging.getLogger(__name__)

_Send: TypeAlias = Callable[[bytes], int]

LARGEST_REQUEST: Final = (1 << 20) + 8192  # the kernel insists on room for the largest write
LARGEST_ANSWER: Final = 1 << 18  # the bytes of READs do not pass here
LARGEST_LISTING: Final = 1 << 17
READ_THREADS: Final = 2
ALONE: Final = 8  # READs of one handle in a row, after which nobody else seems to read
DISK_THREADS: Final = 16
SOCKET_BUFFER: Final = 4 << 20
INTERRUPT_PERIOD: Final = 0.2
LONGEST_FAREWELL: Final = 1.0  # seconds for each thread
_KEY: Final = struct.Struct("<Q")
_TRACKED: Final = frozenset({Opcode.LOOKUP, Opcode.OPEN, Opcode.OPENDIR, Opcode.READ})
_SO_SNDBUFFORCE: Final = 32
_ENDED: Final = frozenset({errno.ENODEV, errno.EBADF, errno.ECONNABORTED, errno.EPIPE})


class Tree(Protocol):
    """What the relay asks of the file system, from its own threads."""

    @property
    def is_short_of_memory(self) -> bool:
        """Whether pages that are cached twice should not be."""

    def backing_descriptor(self, handle: int) -> int | None:
        """A descriptor of the complete blob behind an open file."""

    def source_of(self, handle: int) -> str:
        """Where an open file is from, for people."""

    def known_entry(self, parent: int, name: bytes) -> Attributes | None:
        """What `name` is in `parent`, a directory of a repo, if it is in memory."""

    def known_attributes(self, inode: int) -> Attributes | None:
        """The attributes of `inode`, which is in a repo, if they are in memory."""

    def at_hand(self, handle: int, offset: int, size: int) -> Extent | None:
        """Where the bytes asked for are, if they can be read at once. Takes no time."""

    def note_read(self, handle: int, extent: Extent) -> None:
        """Bytes that were at hand have been read."""

    def is_frozen_directory(self, handle: int) -> bool:
        """Whether an open directory can never change."""


@dataclass(slots=True)
class _Pending:
    """A request that libfuse has."""

    opcode: int
    node: int
    pid: int


class _Found(NamedTuple):
    """Bytes to answer a READ with. The handle, if nobody else has noted that it is read."""

    unique: int
    extent: Extent
    handle: int = 0


class Relay:
    """Carries messages for one mount. `endpoint` is the descriptor for libfuse."""

    def __init__(
        self,
        device: int,
        tree: Tree,
        permissions: Permissions,
        *,
        passthrough: bool,
        stack_depth: int = 1,
    ) -> None:
        """Serve the FUSE `device`, which is mounted; own it from now on."""
        self._device = device
        self._inbox = brief.Inbox(device, LARGEST_REQUEST)
        self._tree = tree
        self._permissions = permissions
        self._wants_passthrough = passthrough
        self._stack_depth = stack_depth
        self.has_passthrough = False
        self.is_initialized = threading.Event()
        self.backings = Backings(KernelRegistrar(device))
        self.parcels = Parcels()
        self._disk = ThreadPoolExecutor(DISK_THREADS, "relay-disk")
        self._inner, outer = _socket_pair()
        self._largest_listing = min(LARGEST_LISTING, _buffer_of(outer) // 2)
        self.endpoint = outer.detach()  # libfuse closes it
        self._pending: dict[int, _Pending] = {}
        self._orphans: dict[int, _Pending] = {}
        self._own = itertools.count(2, 2)
        self._answer = memoryview(bytearray(OUT_HEADER.size + LARGEST_READ))
        self._last_read = 0  # handle
        self._in_a_row = 0
        self._answering = threading.Lock()  # while the thread that receives requests uses the tree
        self._is_closed = False
        self._has_one_left = False
        self._found: queue.SimpleQueue[_Found | None] = queue.SimpleQueue()
        self._notes: queue.SimpleQueue[tuple[_Send, bytes] | None] = queue.SimpleQueue()
        self._interrupted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=target, name=f"relay-{name}", daemon=True)
            for name, target in (
                ("up", self._carry_up),
                ("down", self._carry_down),
                ("notes", self._send_notes),
                ("interrupts", self._watch_interrupted),
            )
        ]
        self._readers = [
            threading.Thread(target=self._bring_found, name=f"relay-read-{at}", daemon=True)
            for at in range(READ_THREADS)
        ]

    def start(self, on_unmounted: Callable[[], None]) -> None:
        """Begin to carry; `on_unmounted` is called, in a thread, when the kernel has no more."""
        self._on_unmounted = on_unmounted
        for thread in self._threads + self._readers:
            thread.start()

    def close(self) -> None:
        """Stop carrying; the kernel fails what is still unanswered.

        The tree is not used any more: descriptors and the index may be closed from now on. What
        a READ still waits for the disk for is for nobody.
        """
        with self._answering:
            if self._is_closed:
                return
            self._is_closed = True
        self._notes.put(None)
        self._interrupted.put(None)
        with contextlib.suppress(OSError):  # libfuse was here first
            self._inner.shutdown(socket.SHUT_RDWR)
        for _ in self._readers:
            self._found.put(None)
        for reader in self._readers:
            if reader.is_alive():
                reader.join()
        self._disk.shutdown(wait=False, cancel_futures=True)
        # Its number is not free for another file while a thread may still read or write there. One
        # that waits for a request keeps the device itself, until the kernel has no more.
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nothing, self._device, inheritable=False)
        os.close(nothing)
        self._leave()
        if self._threads[0].ident is None:  # it was never started, and will not leave by itself
            self._leave()

    def _leave(self) -> None:
        """Whoever comes last of `close` and the thread that receives frees the device's number."""
        with self._answering:
            is_last, self._has_one_left = self._has_one_left, True
        others = [each for each in self._threads if each is not threading.current_thread()]
        if is_last and _have_ended(others):
            self._disk.shutdown()
            self._inner.close()
            os.close(self._device)

    # --- up: from the kernel -----------------------------------------------------------

    def _carry_up(self) -> None:
        be_prompt()
        while True:
            try:
                message = self._inbox.receive()
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EINTR}:
                    continue  # the request was taken back before we got it
                break
            if not message or not self._guarded(self._take_request, message):
                break
        self._on_unmounted()
        self._leave()

    def _take_request(self, message: memoryview) -> None:
        request = wire.request_of(message)
        handler = self._SHORT.get(request.opcode)
        if handler is not None:
            with self._answering:
                if self._is_closed or handler(self, request, message[IN_HEADER.size :]):
                    return
        if refusal := wire.refusal_of(request.opcode):
            self._tell(wire.error_answer(request.unique, refusal))
            return
        if request.opcode in _TRACKED:
            pending = _Pending(request.opcode, request.node, request.pid)
            self._pending[request.unique] = pending
        if request.opcode == Opcode.INIT:
            offered = wire.offers_passthrough(message)
            self.has_passthrough = self._wants_passthrough and offered
            self._init_unique = request.unique
        self._inbox.pass_on(self._inner)

    def _forget(self, _: wire.Request, __: memoryview) -> bool:
        return True  # inode numbers say all there is: nothing is kept for them

    def _note_interrupt(self, _: wire.Request, body: memoryview) -> bool:
        self._interrupted.put(int(wire.INTERRUPT_IN.unpack_from(body)[0]))
        return True

    def _note_release(self, request: wire.Request, body: memoryview) -> bool:
        self.backings.close(request.node, wire.handle_of(body))
        return False

    def _read_at_once(self, request: wire.Request, body: memoryview) -> bool:
        """Answer from what is at hand: one reader here, several from threads that only read.

        A name that is looked up must not wait behind the megabytes of all of them.
        """
        handle, offset, size = wire.READ_IN.unpack_from(body)
        self._in_a_row = self._in_a_row + 1 if handle == self._last_read else 0
        self._last_read = handle
        found = self._tree.at_hand(handle, offset, size)
        if found is None:
            return False
        if self._in_a_row < ALONE:
            self._found.put(_Found(request.unique, found, handle))
            return True
        self._bring(request.unique, found, self._answer)
        self._tree.note_read(handle, found)
        return True

    def _look_up(self, request: wire.Request, body: memoryview) -> bool:
        find = self._tree.known_entry
        found = _known(lambda: find(request.node, wire.name_of(body)))
        if found is None:
            return False
        self._tell(wire.entry_answer(request.unique, found, self._permissions))
        return True

    def _tell_attributes(self, request: wire.Request, _: memoryview) -> bool:
        found = _known(lambda: self._tree.known_attributes(request.node))
        if found is None:
            return False
        self._tell(wire.attributes_answer(request.unique, found, self._permissions))
        return True

    def _limit_lines(self, _: wire.Request, body: memoryview) -> bool:
        """The kernel asks for as much as the program has room for: a megabyte, say."""
        wire.limit_size(body, self._largest_listing)
        return False

    def _refuse_foreign_xattr(self, request: wire.Request, body: memoryview) -> bool:
        if bytes(body[8:13]) == b"user.":
            return False
        self._tell(wire.error_answer(request.unique, errno.ENODATA))
        return True

    _SHORT: Final[dict[int, Callable[[Relay, wire.Request, memoryview], bool]]] = {
        Opcode.FORGET: _forget,
        Opcode.BATCH_FORGET: _forget,
        Opcode.GETATTR: _tell_attributes,
        Opcode.INTERRUPT: _note_interrupt,
        Opcode.LOOKUP: _look_up,
        Opcode.READ: _read_at_once,
        Opcode.READDIR: _limit_lines,
        Opcode.READDIRPLUS: _limit_lines,
        Opcode.RELEASE: _note_release,
        Opcode.GETXATTR: _refuse_foreign_xattr,
    }

    # --- down: from libfuse ------------------------------------------------------------

    def _carry_down(self) -> None:
        buffer = memoryview(bytearray(LARGEST_ANSWER))
        while True:
            try:
                count = self._inner.recv_into(buffer)
            except OSError:
                return
            if not count or not self._guarded(self._take_answer, buffer[:count]):
                return

    def _take_answer(self, answer: memoryview) -> None:
        _, error, unique = OUT_HEADER.unpack_from(answer)
        if not unique:
            self._notes.put((self._notify, bytes(answer)))
        elif unique & wire.OWN_UNIQUE:
            return
        elif (pending := self._pending.pop(unique, None)) is not None:
            self._finish(answer, error, unique, pending)
        elif (orphan := self._orphans.pop(unique, None)) is not None:
            self._bury(answer, error, orphan)
        elif unique == self._init_unique and not error:
            self._init_unique = 0
            depth = self._stack_depth
            wire.extend_init(answer, passthrough=self.has_passthrough, stack_depth=depth)
            self._write(answer)
            self.is_initialized.set()
        else:
            self._write(answer)

    def _finish(self, answer: memoryview, error: int, unique: int, pending: _Pending) -> None:
        if error or pending.opcode == Opcode.LOOKUP:
            self._write(answer)
        elif pending.opcode == Opcode.READ:
            self._deliver(unique, self.parcels.open(answer[OUT_HEADER.size :]))
        elif pending.opcode == Opcode.OPENDIR:
            if self._tree.is_frozen_directory(wire.handle_of(answer[OUT_HEADER.size :])):
                wire.cache_directory(answer)
            self._write(answer)
        else:
            self._open(answer, pending.node)

    def _deliver(self, unique: int, found: Extent | bytes) -> None:
        if isinstance(found, bytes):
            self._write(wire.data_header(unique, len(found)), found)
            return
        self._found.put(_Found(unique, found))

    # --- the bytes of READs ------------------------------------------------------------

    def _bring_found(self) -> None:
        answer = memoryview(bytearray(OUT_HEADER.size + LARGEST_READ))
        while (each := self._found.get()) is not None:
            try:
                self._bring(each.unique, each.extent, answer)
                if each.handle:
                    self._tree.note_read(each.handle, each.extent)
            except Exception:
                log.exception("a bug in the relay")
                self._write(wire.error_answer(each.unique, errno.EIO))

    def _bring(self, unique: int, found: Extent, answer: memoryview) -> None:
        """Answer a READ: from memory in one buffer that stays hot, else from another thread."""
        whole = answer[: OUT_HEADER.size + found.size]
        if _is_in_memory(found, whole[OUT_HEADER.size :]):
            whole[: OUT_HEADER.size] = wire.data_header(unique, found.size)
            self._drop_if_short(found)
            self._write(whole)
        else:
            self._disk.submit(self._deliver_slowly, unique, found)

    def _deliver_slowly(self, unique: int, found: Extent) -> None:
        try:
            data = read_blocking(*found)
        except StoreError as error:
            if not self._is_closed:
                log.warning("read fails: %s", error)
            self._write(wire.error_answer(unique, errno.EIO))
        else:
            self._drop_if_short(found)
            self._write(wire.data_header(unique, found.size), data)

    def _drop_if_short(self, found: Extent) -> None:
        # Before the answer: after it the file may be closed, and its descriptor be another's.
        if self._tree.is_short_of_memory:
            drop_behind(found)

    def _open(self, answer: memoryview, node: int) -> None:
        handle = wire.handle_of(answer[OUT_HEADER.size :])
        descriptor = self._tree.backing_descriptor(handle) if self.has_passthrough else None
        way = self.backings.open(node, handle, descriptor)
        if way.backing and descriptor is not None:
            wire.pass_through(answer, way.backing)
            COUNTERS.add("passed_through")
            COUNTERS.add("passed_through_bytes", os.fstat(descriptor).st_size)
        if way.is_refused:
            self._refuse_open(answer, node, handle)
        elif not self._write(answer):
            # The opener went away meanwhile, so no RELEASE will come for the handle.
            self.backings.close(node, handle)
            self._give_back(node, handle)

    def _refuse_open(self, answer: memoryview, node: int, handle: int) -> None:
        name = self._tree.source_of(handle)
        log.warning(
            "open fails: %s went bad while programs read it through the kernel: end them", name
        )
        _, _, unique = OUT_HEADER.unpack_from(answer)
        self._write(wire.error_answer(unique, errno.EIO))
        self._give_back(node, handle)

    def _bury(self, answer: memoryview, error: int, orphan: _Pending) -> None:
        """Take the late answer to a request that was let go."""
        if error:
            return
        if orphan.opcode == Opcode.READ:
            self.parcels.open(answer[OUT_HEADER.size :])
        elif orphan.opcode == Opcode.OPEN:
            self._give_back(orphan.node, wire.handle_of(answer[OUT_HEADER.size :]))

    def _give_back(self, node: int, handle: int) -> None:
        """Have libfuse release a handle. Not from here: it may wait for answers to be taken."""
        self._notes.put((self._inner.send, wire.release_request(next(self._own), node, handle)))

    # --- notifications and interrupts --------------------------------------------------

    def _send_notes(self) -> None:
        while (note := self._notes.get()) is not None:
            send, message = note
            with contextlib.suppress(OSError):  # the kernel does not know the name any more
                send(message)

    def _notify(self, note: bytes) -> int:
        return os.write(self._device, note)

    def _watch_interrupted(self) -> None:
        """Let go who dies; look again at who was only signalled: the kernel tells once."""
        watched: set[int] = set()
        while True:
            try:
                unique = self._interrupted.get(timeout=INTERRUPT_PERIOD if watched else None)
            except queue.Empty:
                unique = 0
            if unique is None:
                return
            watched.add(unique)
            watched = {each for each in watched if each in self._pending}
            for each in list(watched):
                try:
                    self._let_go_if_leaving(each)
                except Exception:  # the next who dies must not wait for this one
                    log.exception("a bug in the relay")
                    watched.discard(each)

    def _let_go_if_leaving(self, unique: int) -> None:
        pending = self._pending.get(unique)
        if pending is None or not should_leave(pending.pid, pending.opcode):
            return
        # Whoever takes the entry answers; it is put among the orphans first, so that a late
        # answer finds it in one place or the other.
        self._orphans[unique] = pending
        if self._pending.pop(unique, None) is None:
            self._orphans.pop(unique, None)
        else:
            self._write(wire.error_answer(unique, errno.EINTR))

    # --- the device --------------------------------------------------------------------

    def _write(self, *parts: memoryview | bytes | bytearray) -> bool:
        """Answer the kernel; False when it does not wait for this answer any more."""
        try:
            os.writev(self._device, parts)
        except OSError as error:
            if _note_refusal(error):  # whoever asked must have some answer
                unique = int(_KEY.unpack_from(parts[0], 8)[0])
                with contextlib.suppress(OSError):
                    os.write(self._device, wire.error_answer(unique, errno.EIO))
            return False
        return True

    def _tell(self, answer: bytes) -> None:
        """Answer the kernel in some bytes."""
        try:
            brief.write(self._device, answer)
        except OSError as error:
            _note_refusal(error)

    def _guarded(self, step: Callable[[memoryview], None], message: memoryview) -> bool:
        """Carry one message; False at the end of the connection. A bug must not stop the rest."""
        try:
            step(message)
        except OSError as error:
            if error.errno in _ENDED:
                return False
            log.warning("a message was lost: %s", error)
            self._fail(message)
        except Exception:
            log.exception("a bug in the relay")
            self._fail(message)
        return True

    def _fail(self, message: memoryview) -> None:
        # Requests and answers have the unique at the same place.
        unique = int(_KEY.unpack_from(message, 8)[0])
        self._pending.pop(unique, None)
        self._write(wire.error_answer(unique, errno.EIO))

    _init_unique = 0


def _note_refusal(error: OSError) -> bool:
    """Whether the kernel refused an answer for what it is, and still waits for one."""
    if error.errno in {errno.ENOENT, *_ENDED}:
        return False
    log.warning("the kernel refused an answer: %s", error.strerror)
    return True


def _have_ended(threads: list[threading.Thread]) -> bool:
    """Whether all have, or do within a moment: one may wait in the kernel for a busy directory."""
    for each in threads:
        if each.is_alive():
            each.join(LONGEST_FAREWELL)
    return not any(each.is_alive() for each in threads)


def _known(look: Callable[[], Attributes | None]) -> Attributes | None:
    """What `look` finds; where it fails the event loop shall say why."""
    with contextlib.suppress(HubfsError):
        return look()
    return None


def _is_in_memory(found: Extent, buffer: memoryview) -> bool:
    """Whether `buffer` was filled; a thread that may wait finds out about failures of the disk."""
    try:
        return read_nowait(found, buffer)
    except StoreError:
        return False


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        try:
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SOCKET_BUFFER)
        except OSError:  # then as much as the system allows everybody
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return pair


def _buffer_of(end: socket.socket) -> int:
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
