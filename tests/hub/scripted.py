"""A server that says exactly what a test tells it to, byte for byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_HOST = "127.0.0.1"


class Line:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._received = b""

    def request(self) -> bytes:
        """The head of the next request; EOFError when the client has left."""
        while b"\r\n\r\n" not in self._received:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._received += data
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self.sock.do_handshake()

    def wait_for_end(self) -> None:
        while self.sock.recv(65536):
            pass

    def dribble(self, drop: bytes) -> None:
        """Say `drop` now and then, until the client leaves."""
        self.sock.settimeout(0.02)
        while True:
            self.say(drop)
            try:
                if not self.sock.recv(1):
                    return
            except TimeoutError:
                continue


Talk = Callable[["ScriptedServer", Line], None]


class ScriptedServer:
    """The n-th connection hears the n-th talk, and all that follow the last one."""

    def __init__(self, *talks: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self._talks = talks
        self._tls = tls
        self._changed = threading.Condition()
        self._listener = socket.create_server((_HOST, 0))
        self._lines: list[Line] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{_HOST}:{self.port}"

    def note(self, head: bytes) -> None:
        with self._changed:
            self.requests.append(head.decode("latin-1"))
            self._changed.notify_all()

    def wait_for(self, reached: Callable[[Self], bool]) -> None:
        """Wait until a request or a connection makes it true."""
        with self._changed:
            assert self._changed.wait_for(lambda: reached(self), 20)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            talk = self._talks[min(self.connections, len(self._talks) - 1)]
            with self._changed:
                self.connections += 1
                self._changed.notify_all()
            self._lines.append(Line(sock))
            thread = threading.Thread(target=self._serve, args=(self._lines[-1], talk))
            self._threads.append(thread)
            thread.start()

    def _serve(self, line: Line, talk: Talk) -> None:
        try:
            if self._tls is not None:
                line.start_tls(self._tls)
            talk(self, line)
        except (OSError, EOFError):
            pass  # clients leave as they like
        finally:
            line.sock.close()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for line in self._lines:
            _hang_up(line.sock)
        for thread in self._threads[1:]:
            thread.join()


def _hang_up(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already


def answering(*answers: bytes) -> Talk:
    """Give these answers to as many requests, then wait until the client leaves."""

    def talk(server: ScriptedServer, line: Line) -> None:
        for each in answers:
            server.note(line.request())
            line.say(each)
        line.wait_for_end()

    return talk


def hanging_up(*answers: bytes) -> Talk:
    """The same, but hang up after the last of them."""

    def talk(server: ScriptedServer, line: Line) -> None:
        for each in answers:
            server.note(line.request())
            line.say(each)

    return talk


def dribbling(start: bytes, drop: bytes) -> Talk:
    """Answer with `start`, then with a `drop` now and then, for ever."""

    def talk(server: ScriptedServer, line: Line) -> None:
        server.note(line.request())
        line.say(start)
        line.dribble(drop)

    return talk


def reply(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """An answer with a Content-Length, right unless `length` says otherwise."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {size}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(status: int, *chunks: bytes, headers: tuple[str, ...] = ()) -> bytes:
    """An answer in chunks."""
    lines = [f"HTTP/1.1 {status} Whatever", "Transfer-Encoding: chunked", *headers]
    body = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (*chunks, b""))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
