"""How slow the line is. Pure."""

_MAX_PIECE = 1 << 20
_MIN_PIECE = 1 << 12


def piece_size(bandwidth: float | None) -> int:
    """Return how many bytes to send at once: about 10 ms' worth on a slow line."""
    if bandwidth is None:
        return _MAX_PIECE
    return min(max(int(bandwidth / 100), _MIN_PIECE), _MAX_PIECE)


def wait_before(sent: int, elapsed: float, bandwidth: float | None) -> float:
    """Return how long to wait until `sent` bytes are no longer too many."""
    return max(sent / bandwidth - elapsed, 0.0) if bandwidth else 0.0
