"""Files that are read one after the other: the numbered parts of one set of weights. Pure."""

from __future__ import annotations

import re

# `model-00001-of-00030.safetensors` and llama.cpp's `name-00001-of-00003.gguf`.
_SHARD = re.compile(r"(?P<stem>.*[-_])(?P<number>\d{5,6})-of-(?P<count>\d{5,6})(?P<end>\.\w+)")


def following_shards(name: str, most: int) -> list[str]:
    """The names of up to `most` parts after the part called `name`; none if it is no part."""
    found = _SHARD.fullmatch(name)
    if not found:
        return []
    number, count, width = int(found["number"]), int(found["count"]), len(found["number"])
    numbers = range(number + 1, min(count, number + most) + 1)
    return [f"{found['stem']}{each:0{width}}-of-{found['count']}{found['end']}" for each in numbers]
