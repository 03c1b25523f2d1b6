"""Which files show secrets to others than their owner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hubfs.config.files import secret_files
from hubfs.config.sources import Layer
from hubfs.hub.credentials import token_place


def exposed(layer: Layer, environment: Mapping[str, str]) -> list[Path]:
    """The files whose secrets a daemon of `layer` uses, though others may read them.

    Where no setting names a file of the token, that of huggingface_hub's login is one.
    """
    files = secret_files(layer)
    place = Path(token_place(environment, layer["token_file"].value))
    if place.is_absolute():  # a variable's name is none
        files.add(place)
    return sorted(filter(_is_exposed, files))


def _is_exposed(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & 0o077)
    except OSError:
        return False
