import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localhub.peer import Peer, SourceLost
from tests.localhub.wire import Part, whole


@pytest.fixture
def pair() -> Iterator[tuple[Peer, socket.socket]]:
    """A peer and the other side of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        peer = Peer(listener.accept()[0])
    yield peer, client
    peer.close()
    client.close()


def no_limit() -> None:
    return None


def test_parts_of_files_and_memory_are_sent_in_order(
    pair: tuple[Peer, socket.socket], tmp_path: Path
) -> None:
    peer, client = pair
    (tmp_path / "file").write_bytes(b"0123456789")
    counted: list[int] = []

    peer.send_parts((*whole(b"ab"), Part(tmp_path / "file", 3, 4)), no_limit, counted.append)
    peer.close()

    assert client.makefile("rb").read() == b"ab3456"
    assert counted == [2, 4]


def test_what_was_confirmed_is_known_to_the_byte(pair: tuple[Peer, socket.socket]) -> None:
    peer, client = pair
    before = peer.acknowledged()
    peer.send(b"head" + b"body" * 100)
    client.recv(1)
    peer.drain()

    assert peer.acknowledged() - before == 404
    assert peer.body_acknowledged(before, head=4) == 400
    peer.reset()
    assert peer.is_closed


def test_a_wait_ends_when_the_other_side_leaves(pair: tuple[Peer, socket.socket]) -> None:
    peer, client = pair
    peer.wait(0.001)
    client.close()

    with pytest.raises(ConnectionAbortedError):
        peer.wait(None)


def test_a_wait_ends_when_the_peer_is_hung_up(pair: tuple[Peer, socket.socket]) -> None:
    peer, _ = pair
    peer.hang_up()

    with pytest.raises(ConnectionAbortedError):
        peer.wait(None)
    peer.close()
    peer.hang_up()  # too late: no effect


@pytest.mark.parametrize("length", [None, 5])
def test_a_file_that_is_gone_or_shorter_is_no_matter_of_the_client(
    pair: tuple[Peer, socket.socket], tmp_path: Path, length: int | None
) -> None:
    if length:
        (tmp_path / "file").write_bytes(bytes(length))

    with pytest.raises(SourceLost):
        pair[0].send_parts((Part(tmp_path / "file", 0, 10),), no_limit, lambda _: None)
