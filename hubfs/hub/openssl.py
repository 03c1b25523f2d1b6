"""What the `ssl` module keeps to itself: OpenSSL's chains of filters, by ctypes.

`SSLObject.read` takes one record, of 16 KiB at most, with the interpreter's lock
given and taken for each. A buffering BIO above an SSL BIO takes as many records
as fit in one call without the lock: `BIO_read` of `BIO_f_buffer` goes on until
its buffer is full or the SSL below has nothing more.

OpenSSL tells of each SSL that it makes whoever reserves an index for extra data
(`CRYPTO_get_ex_new_index`); that is how the SSL within an `SSLObject` is known
here without a look into Python's own structures.
"""

from __future__ import annotations

import _ssl
import ctypes
import functools
import ssl
import threading
import weakref
from typing import Final, NamedTuple

_OF_SSL: Final = 0  # CRYPTO_EX_INDEX_SSL
_PENDING: Final = 10  # BIO_CTRL_PENDING
_SET_SSL: Final = 109  # BIO_C_SET_SSL
_NO_CLOSE: Final = 0  # BIO_NOCLOSE
_SHOULD_RETRY: Final = 0x08  # BIO_FLAGS_SHOULD_RETRY
_RECEIVED_SHUTDOWN: Final = 2  # SSL_RECEIVED_SHUTDOWN
_REASON: Final = 0x7FFFFF  # of an error's code, as of OpenSSL 3
_UNEXPECTED_EOF: Final = 294  # SSL_R_UNEXPECTED_EOF_WHILE_READING
_LARGEST_READ: Final = 1 << 30  # a length is an int

# void new(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
_Listener = ctypes.CFUNCTYPE(
    None,
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
    *(ctypes.c_int, ctypes.c_long, ctypes.c_void_p),
)

_SIGNATURES: Final = {
    "BIO_ctrl": (ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p),
    "BIO_f_buffer": (ctypes.c_void_p,),
    "BIO_f_ssl": (ctypes.c_void_p,),
    "BIO_free_all": (None, ctypes.c_void_p),
    "BIO_new": (ctypes.c_void_p, ctypes.c_void_p),
    "BIO_push": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
    "BIO_read": (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int),
    "BIO_test_flags": (ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
    "CRYPTO_get_ex_new_index": (
        *(ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_void_p),
        *(_Listener, ctypes.c_void_p, ctypes.c_void_p),
    ),
    "ERR_clear_error": (None,),
    "ERR_peek_last_error": (ctypes.c_ulong,),
    "ERR_reason_error_string": (ctypes.c_char_p, ctypes.c_ulong),
    "SSL_get_shutdown": (ctypes.c_int, ctypes.c_void_p),
}


class _Newest(threading.local):
    """The SSL that this thread made last."""

    pointer: int | None = None


_newest = _Newest()


def _note(parent: int | None, *_: object) -> None:
    _newest.pointer = parent


_listener: Final = _Listener(_note)  # OpenSSL may call it as long as there is a process


@functools.cache
def library() -> ctypes.CDLL | None:
    """The OpenSSL that the `ssl` module itself calls, or None where it cannot be reached.

    A Python that has OpenSSL built in may hide it.
    """
    if ssl.OPENSSL_VERSION_INFO < (3,):
        return None  # its error codes are other ones
    try:
        found = ctypes.CDLL(getattr(_ssl, "__file__", None))
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    index = found.CRYPTO_get_ex_new_index(_OF_SSL, 0, None, _listener, None, None)
    return found if index >= 0 else None


class Client(NamedTuple):
    """A client's side of TLS, and OpenSSL's own name of it, None where that is not known."""

    tls: ssl.SSLObject
    pointer: int | None


def client_of(
    context: ssl.SSLContext, host: str, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
) -> Client:
    """Make the client of `host` that reads `incoming` and writes `outgoing`."""
    library()  # who listens from now on hears of it
    _newest.pointer = None
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    return Client(tls, _newest.pointer)


class Chain:
    """Reads many records at once. One thread at a time, and none reads `client.tls` beside it.

    It holds what it reads from, and gives OpenSSL back what is OpenSSL's when nobody
    holds it: never while a thread is within it.
    """

    def __init__(self, library: ctypes.CDLL, client: Client) -> None:
        """Read `client`, whose handshake is done and whose pointer is known."""
        self._library, self._client = library, client
        self._top = library.BIO_new(library.BIO_f_buffer())
        below = library.BIO_new(library.BIO_f_ssl())
        if not self._top or not below:
            raise MemoryError
        library.BIO_ctrl(below, _SET_SSL, _NO_CLOSE, client.pointer)
        library.BIO_push(self._top, below)
        # The SSL must outlive the chain, which says goodbye to it: hence the client here.
        weakref.finalize(self, _free, library, self._top, client)

    def read(self, buffer: memoryview) -> tuple[int, bool]:
        """Take what is here into `buffer`; how much it was, and whether no more will come.

        Raises:
            ssl.SSLError: What came is no TLS, or was changed on its way.
        """
        place = ctypes.c_char.from_buffer(buffer)
        wanted = min(len(buffer), _LARGEST_READ)
        self._library.ERR_clear_error()  # whatever this thread did before
        count = self._library.BIO_read(self._top, ctypes.byref(place), wanted)
        if count == wanted:
            return count, False
        if code := self._library.ERR_peek_last_error():
            reason = self._library.ERR_reason_error_string(code)
            self._library.ERR_clear_error()  # or the next read of an SSLObject would raise it
            if code & _REASON != _UNEXPECTED_EOF:
                raise ssl.SSLError(ssl.SSL_ERROR_SSL, (reason or b"broken").decode())
            return max(count, 0), True
        is_over = self._library.SSL_get_shutdown(
            self._client.pointer
        ) & _RECEIVED_SHUTDOWN or not self._library.BIO_test_flags(self._top, _SHOULD_RETRY)
        return max(count, 0), bool(is_over)

    @property
    def has_unread(self) -> bool:
        """Whether bytes wait in the chain or below it, taken apart or not yet."""
        return bool(self._library.BIO_ctrl(self._top, _PENDING, 0, None))


def _free(library: ctypes.CDLL, top: int, _client: Client) -> None:
    library.BIO_free_all(top)
    library.ERR_clear_error()
