"""One origin: a port, its listener, its connections.

A port stays reserved from `open` to `close`, so that an origin that is down
refuses connections and comes back where it was.
"""

import errno
import socket
import threading

from tests.localhub.connection import Connection, Service
from tests.localhub.peer import Peer

HOST = "127.0.0.1"


class Origin:
    """Accepts connections and serves each on a thread of its own."""

    def __init__(self, service: Service, port: int = 0) -> None:
        self._service = service
        self._port = port
        self._changing = threading.Lock()
        self._peers: dict[Peer, threading.Thread] = {}
        self._reservation: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._connections = 0

    def open(self) -> None:
        """Reserve the port; nothing listens yet."""
        self._reservation = _bound(self._port)
        self._port = self._reservation.getsockname()[1]

    def close(self) -> None:
        self.stop()
        if self._reservation:
            self._reservation.close()

    @property
    def address(self) -> str:
        scheme = "https" if self._service.tls else "http"
        return f"{scheme}://{HOST}:{self._port}"

    def start(self) -> None:
        """Listen; no effect if it does already."""
        if self._listener:
            return
        self._listener = _bound(self._port)
        self._listener.listen(512)
        name = f"localhub-{self._service.origin}"
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener,), name=name, daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Refuse connections and end those that are open; wait until they have ended."""
        if self._listener and self._acceptor:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the acceptor; close would not
            self._acceptor.join()
            self._listener.close()
            self._listener = None
        with self._changing:
            open_now = dict(self._peers)
        for peer in open_now:
            peer.hang_up()
        for thread in open_now.values():
            thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if error.errno == errno.EINVAL:
                    return  # stopped
                raise
            self._begin(Peer(sock))

    def _begin(self, peer: Peer) -> None:
        self._connections += 1
        connection = Connection(self._service, peer, self._connections)
        thread = threading.Thread(
            target=self._serve, args=(connection, peer), name="localhub-peer", daemon=True
        )
        with self._changing:
            self._peers[peer] = thread
        thread.start()

    def _serve(self, connection: Connection, peer: Peer) -> None:
        try:
            connection.serve()
        finally:
            with self._changing:
                del self._peers[peer]


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock
