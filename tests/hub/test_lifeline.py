from __future__ import annotations

import socket
import threading

import pytest

from hubfs.errors import HubUnreachable
from hubfs.hub.lifeline import Lifeline


def test_a_cut_wakes_the_thread_that_waits() -> None:
    lifeline = Lifeline()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lifeline.attach(ours)
        waiting = threading.Thread(target=ours.recv, args=(1,))
        waiting.start()
        lifeline.cut()
        waiting.join()
        assert theirs.recv(1) == b""


def test_what_was_cut_before_does_not_begin() -> None:
    lifeline = Lifeline()
    lifeline.check()
    lifeline.cut()
    with pytest.raises(HubUnreachable, match="given up"):
        lifeline.check()
    with socket.socket() as sock, pytest.raises(HubUnreachable, match="given up"):
        lifeline.attach(sock)


def test_a_socket_that_was_let_go_is_left_alone() -> None:
    """It may serve somebody else by now."""
    lifeline = Lifeline()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lifeline.attach(ours)
        lifeline.detach()
        lifeline.cut()
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_a_closed_socket_does_no_harm() -> None:
    lifeline = Lifeline()
    with socket.socket() as sock:
        lifeline.attach(sock)
    lifeline.cut()
    lifeline.cut()
    assert lifeline.is_cut
