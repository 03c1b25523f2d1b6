from __future__ import annotations

from tests.weather.conftest import cache, disk, hub, hurry

__all__ = ["cache", "disk", "hub", "hurry"]
