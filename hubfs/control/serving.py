"""HTTP/1.1 for an ASGI application, under trio: one connection's trouble is its own.

Small on purpose. The servers that exist shield their writes, so a client that
stops reading would keep the daemon from ending; and they let an error of one
connection out, which would end the mount.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import h11
import trio

log = logging.getLogger(__name__)

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_CONNECTIONS: Final = 256
LONGEST_REFUSAL: Final = 1.0
LONGEST_IDLE: Final = 60.0
LONGEST_WRITE: Final = 30.0
LONGEST_DRAIN: Final = 2.0
MOST_DRAINED: Final = 1000
LARGEST_BODY: Final = 1 << 20
_CHUNK: Final = 1 << 16
_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError)


class Door:
    """Serves one application to whoever connects to a listener."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._connections = 0

    async def serve(self, listener: trio.SocketListener) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self._welcome, [listener])

    async def _welcome(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        try:
            if self._connections <= MOST_CONNECTIONS:
                await _Connection(self._application, stream).run()
            else:
                await _refuse_one_more(stream)
        except (h11.RemoteProtocolError, *_GONE) as error:
            log.debug("a connection ended: %r", error)
        except Exception:
            log.exception("a bug in the control API")
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(stream)


async def _refuse_one_more(stream: trio.SocketStream) -> None:
    with trio.move_on_after(LONGEST_REFUSAL):
        await stream.receive_some(_CHUNK)  # closing on a request would take the answer back
        await stream.send_all(_TOO_MANY)


class _Connection:
    """One connection: a request, its answer, and the next."""

    def __init__(self, application: Application, stream: trio.SocketStream) -> None:
        self._application = application
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 15)

    async def run(self) -> None:
        while True:
            request = await self._next_request()
            if request is None:
                return
            await _Exchange(self._application, self, request).run()
            await self._drain()
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _drain(self) -> None:
        """Take in what the application did not want: closing on it would reset the answer."""
        with trio.move_on_after(LONGEST_DRAIN):
            for _ in range(MOST_DRAINED):
                if self._http.their_state is not h11.SEND_BODY:
                    return
                await self.next_event()

    async def _next_request(self) -> h11.Request | None:
        try:
            with trio.fail_after(LONGEST_IDLE):
                event = await self.next_event()
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
            return None
        return event if isinstance(event, h11.Request) else None

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        headers = [("content-length", "0"), ("connection", "close")]
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self.send(h11.Response(status_code=error.error_status_hint, headers=headers))
            await self.send(h11.EndOfMessage())

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """What the client says next."""
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            if self._http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            await self.receive_some()

    async def receive_some(self) -> bool:
        """Take in what comes; return whether the client is still there."""
        data = await self._stream.receive_some(_CHUNK)
        self._http.receive_data(data)
        return bool(data)

    async def send(self, event: h11.Event) -> None:
        """Say something; a client that does not listen for long is given up."""
        data = self._http.send(event)
        if data:
            with trio.fail_after(LONGEST_WRITE):
                await self._stream.send_all(data)


class _Exchange:
    """One request and its answer, in the words of ASGI."""

    def __init__(
        self, application: Application, connection: _Connection, request: h11.Request
    ) -> None:
        self._application = application
        self._connection = connection
        self._request = request
        self._is_asked = False
        self._has_begun = False

    async def run(self) -> None:
        try:
            await self._application(self._scope(), self._receive, self._send)
        except Exception:
            if self._has_begun:
                raise
            log.exception("a bug in the control API")
            await self._send({"type": "http.response.start", "status": 500, "headers": []})
            await self._send({"type": "http.response.body", "body": b""})

    def _scope(self) -> Message:
        target, _, query = self._request.target.partition(b"?")
        return {
            "type": "http",
            # 2.4 would have the application learn of a lost client by a failing write alone.
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self._request.http_version.decode(),
            "method": self._request.method.decode(),
            "scheme": "http",
            "path": unquote(target.decode("latin-1")),
            "raw_path": target,
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers],
            "client": None,
            "server": None,
        }

    async def _receive(self) -> Message:
        while not self._is_asked:
            event = await self._connection.next_event()
            if isinstance(event, h11.Data):
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            self._is_asked = True
            if isinstance(event, h11.EndOfMessage):
                return {"type": "http.request", "body": b"", "more_body": False}
        try:
            while await self._connection.receive_some():
                pass  # a request that is sent ahead waits in its buffer
        except _GONE:
            pass
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            await self._connection.send(
                h11.Response(status_code=message["status"], headers=list(message["headers"]))
            )
        elif message["type"] == "http.response.body":
            if message.get("body"):
                await self._connection.send(h11.Data(data=message["body"]))
            if not message.get("more_body"):
                await self._connection.send(h11.EndOfMessage())
