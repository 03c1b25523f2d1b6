"""A small HTTP proxy: forwards plain requests, tunnels the rest, remembers who asked for what."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit


class Proxy(ThreadingTCPServer):
    """At `url`. `targets` are the request lines that came, `credentials` what came with them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.targets: list[str] = []
        self.credentials: set[str] = set()

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that leaves is no news."""


class _Handler(BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        head, rest = self._head()
        request, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ")
        self.server.targets.append(f"{method} {target}")
        for field in fields:
            if field.lower().startswith("proxy-authorization:"):
                self.server.credentials.add(field.split(": ", 1)[1])
        if method == "CONNECT":
            host, _, port = target.partition(":")
            self._serve((host, int(port)), b"", b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            self._forward(method, target, fields, rest)

    def _forward(self, method: str, target: str, fields: list[str], rest: bytes) -> None:
        parts = urlsplit(target)
        assert parts.hostname, "a plain request to a proxy names the whole address"
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        hop = ("connection:", "proxy-")
        kept = [field for field in fields if not field.lower().startswith(hop)]
        # One request each, so that the next one passes here too.
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
        self._serve((parts.hostname, parts.port or 80), head.encode("latin-1") + rest, b"")

    def _head(self) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.request.recv(1 << 16)
            if not part:
                raise ConnectionError
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def _serve(self, address: tuple[str, int], upward: bytes, downward: bytes) -> None:
        with socket.create_connection(address) as origin:
            origin.sendall(upward)
            self.request.sendall(downward)
            peers = {origin: self.request, self.request: origin}
            while True:
                for ready in select.select(list(peers), [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    peers[ready].sendall(data)


@contextlib.contextmanager
def proxying() -> Iterator[Proxy]:
    """A proxy that serves within."""
    with Proxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
