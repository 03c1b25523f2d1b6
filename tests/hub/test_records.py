"""TLS records taken apart, by each of the two ways, against Python's own server side."""

from __future__ import annotations

import ctypes
import gc
import random
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from hubfs.hub import openssl
from hubfs.hub.records import EachRecord, Records, records_of
from tests.hub.conftest import Certificates

RECORD = 16 << 10


class Pair:
    """A client and a server that have shaken hands; nothing moves by itself."""

    def __init__(
        self, certificates: Certificates, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> None:
        context = ssl.create_default_context(cafile=certificates.ca_file)
        context.minimum_version = context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._to_server, self._from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = openssl.client_of(context, "localhost", self.incoming, self.outgoing)
        self.server = certificates.server.wrap_bio(
            self._to_server, self._from_server, server_side=True
        )
        waiting = [self.client.tls, self.server]
        while waiting:
            waiting = [each for each in waiting if not _is_greeted(each)]
            self._to_server.write(self.outgoing.read())
            self.incoming.write(self._from_server.read())

    def encrypted(self, data: bytes, record: int = RECORD) -> bytes:
        """What the server says, in records of so many bytes."""
        for start in range(0, len(data), record):
            self.server.write(data[start : start + record])
        return self._from_server.read()

    def goodbye(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.server.unwrap()
        return self._from_server.read()


def _is_greeted(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


Reader = Callable[[Pair], Records]


def _of_library(pair: Pair) -> Records:
    records = records_of(pair.client, pair.incoming)
    assert isinstance(records, openssl.Chain)
    return records


def _of_module(pair: Pair) -> Records:
    return EachRecord(pair.client.tls, pair.incoming)


@pytest.fixture(params=[_of_library, _of_module], ids=["many", "each"])
def reader(request: pytest.FixtureRequest) -> Reader:
    made: Reader = request.param
    return made


@pytest.fixture
def pair(certificates: Certificates) -> Pair:
    return Pair(certificates)


def read(records: Records, size: int) -> tuple[bytes, bool]:
    buffer = bytearray(size)
    count, is_over = records.read(memoryview(buffer))
    return bytes(buffer[:count]), is_over


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("record", [1, 1000, RECORD])
@pytest.mark.parametrize("step", [100, 5000, 100_000, 1 << 20])
def test_every_byte_arrives_whatever_it_came_in(
    reader: Reader, certificates: Certificates, version: ssl.TLSVersion, record: int, step: int
) -> None:
    pair = Pair(certificates, version)
    records = reader(pair)
    chance = random.Random(record * step)
    data = chance.randbytes(min(300_000, 3000 * record))
    wire, received = pair.encrypted(data, record), b""
    while wire:
        part = chance.randrange(1, 100_000)
        pair.incoming.write(wire[:part])
        wire = wire[part:]
        while found := read(records, step):
            received += found[0]
            assert not found[1]
            if len(found[0]) < step:
                break
    assert received == data


def test_half_a_record_is_waited_for(reader: Reader, pair: Pair) -> None:
    records = reader(pair)
    wire = pair.encrypted(b"a" * 100 + b"b" * 100, record=100)
    pair.incoming.write(wire[:150])
    assert read(records, 1000) == (b"a" * 100, False)
    assert read(records, 1000) == (b"", False)
    pair.incoming.write(wire[150:])
    assert read(records, 1000) == (b"b" * 100, False)


def test_no_more_is_written_than_fits(reader: Reader, pair: Pair) -> None:
    records = reader(pair)
    pair.incoming.write(pair.encrypted(b"x" * 5000))
    buffer = bytearray(1000)
    assert records.read(memoryview(buffer)[100:600]) == (500, False)
    assert buffer == bytes(100) + b"x" * 500 + bytes(400)


def test_a_goodbye_is_the_end(reader: Reader, pair: Pair) -> None:
    records = reader(pair)
    pair.incoming.write(pair.encrypted(b"last words") + pair.goodbye())
    assert read(records, 1000) == (b"last words", True)
    assert read(records, 1000) == (b"", True)


def test_an_end_without_goodbye_is_the_end(reader: Reader, pair: Pair) -> None:
    records = reader(pair)
    pair.incoming.write(pair.encrypted(b"x" * 100 + b"y" * 100, record=100)[:-1])
    pair.incoming.write_eof()
    assert read(records, 1000) == (b"x" * 100, True)


@pytest.mark.parametrize("before", [b"", b"good" * 100])
def test_a_changed_record_is_an_error(reader: Reader, pair: Pair, before: bytes) -> None:
    records = reader(pair)
    pair.incoming.write(pair.encrypted(before))
    wire = bytearray(pair.encrypted(b"x" * 100))
    wire[50] ^= 1
    pair.incoming.write(wire)
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        read(records, 1000)


def test_what_is_no_tls_is_an_error(reader: Reader, pair: Pair) -> None:
    records = reader(pair)
    pair.incoming.write(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version|packet|bad.record"):
        read(records, 1000)


def test_an_error_is_nobody_elses(reader: Reader, certificates: Certificates) -> None:
    broken, whole = Pair(certificates), Pair(certificates)
    records, others = reader(broken), reader(whole)
    read(others, 1000)  # the server's tickets, whose handshake would forget errors
    broken.incoming.write(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        read(records, 1000)
    with pytest.raises(ssl.SSLWantReadError):
        whole.client.tls.read(1)  # the module looks at what OpenSSL kept of errors
    assert read(others, 1000) == (b"", False)


def test_what_has_come_is_unread_until_it_is_read(reader: Reader, pair: Pair) -> None:
    records = reader(pair)
    read(records, 1000)  # the server's tickets
    assert not records.has_unread
    wire = pair.encrypted(b"x" * 5000)
    pair.incoming.write(wire[:100])
    assert records.has_unread
    pair.incoming.write(wire[100:])
    for _ in range(500):
        assert records.has_unread
        assert read(records, 10) == (b"x" * 10, False)
    assert not records.has_unread


def test_each_client_is_known_among_many_threads(certificates: Certificates) -> None:
    failures: list[BaseException] = []

    def talk(number: int) -> None:
        try:
            for _ in range(20):
                pair = Pair(certificates)
                records = _of_library(pair)
                pair.incoming.write(pair.encrypted(b"%d" % number * 1000))
                assert read(records, 100_000) == (b"%d" % number * 1000, False)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_what_openssl_holds_goes_with_the_chain(certificates: Certificates) -> None:
    library = openssl.library()
    assert library is not None
    freed: list[int] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            if name == "BIO_free_all":
                freed.append(1)
            return getattr(library, name)

    pair = Pair(certificates)
    chain = openssl.Chain(Watched(), pair.client)  # type: ignore[arg-type]
    pair.incoming.write(pair.encrypted(b"x"))
    assert read(chain, 10) == (b"x", False)
    assert not freed
    del chain
    gc.collect()
    assert freed == [1]
    assert pair.client.tls.version() == "TLSv1.3"  # the SSL is its owner's still
    pair.incoming.write(pair.encrypted(b"y"))
    assert pair.client.tls.read(10) == b"y"


@pytest.fixture
def no_library() -> Iterator[None]:
    """As with a Python that hides its OpenSSL."""
    known = openssl.library
    openssl.library.cache_clear()
    with pytest.MonkeyPatch.context() as patch:

        def refused(*_: object) -> ctypes.CDLL:
            raise OSError("no such library")

        patch.setattr(ctypes, "CDLL", refused)
        assert openssl.library() is None
        yield
    known.cache_clear()


@pytest.mark.usefixtures("no_library")
def test_where_openssl_is_hidden_each_record_is_read(pair: Pair) -> None:
    records = records_of(pair.client, pair.incoming)
    assert isinstance(records, EachRecord)
    pair.incoming.write(pair.encrypted(b"x" * 100_000))
    assert read(records, 200_000) == (b"x" * 100_000, False)
