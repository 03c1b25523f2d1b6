from tests.localhub.throttle import piece_size, wait_before


def test_a_fast_line_gets_large_pieces_and_no_waits() -> None:
    assert piece_size(None) == 1 << 20
    assert wait_before(1 << 30, 0.0, None) == 0.0


def test_a_slow_line_is_held_to_its_speed() -> None:
    assert wait_before(sent=1000, elapsed=0.25, bandwidth=1000) == 0.75
    assert wait_before(sent=1000, elapsed=2.0, bandwidth=1000) == 0.0


def test_pieces_are_a_hundredth_of_a_second() -> None:
    assert piece_size(10_000_000) == 100_000
