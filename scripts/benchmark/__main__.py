"""The command: sections and options in, a table and JSON out, and nothing left behind."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from hubfs.cli.quantities import parse_size
from scripts.benchmark import aged, cold, far, metadata, million, streaming, thrift, warm
from scripts.benchmark.bench import Bench, Group, Options, say, timed
from scripts.benchmark.machine import machine, versions
from scripts.benchmark.mounts import detach_below
from scripts.benchmark.processes import CommandFailed
from scripts.benchmark.report import Report, as_json, table
from scripts.benchmark.rows import CannotRun, NotVerified
from scripts.benchmark.sources import TENSOR
from scripts.benchmark.usage import family_of

SECTIONS: dict[str, tuple[Group, ...]] = {
    "cold": cold.GROUPS + far.GROUPS + thrift.GROUPS,
    "warm": warm.GROUPS,
    "metadata": metadata.GROUPS + million.GROUPS + aged.GROUPS,
    "memory": streaming.GROUPS + million.GROUPS + aged.GROUPS,
}
_TROUBLE = (CommandFailed, OSError, subprocess.SubprocessError, ValueError, KeyError)


def main() -> None:
    """Measure what is asked for; exit with 1 if something could not be or read wrongly."""
    arguments = _arguments()
    _listen_to_signals(_exit_on_signal)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        sys.exit("bench: /dev/fuse is needed to mount")
    report = Report()
    options = _options(arguments)
    here, using = machine(Path(tempfile.gettempdir())), versions()
    try:
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(_scratch())
            _measure(Bench(options, scratch, stack), _groups(arguments), report)
    finally:  # if it was broken off, what there is
        print(_heading({**here, **using}), table(report), sep="\n")
        if arguments.json:
            facts = {"machine": here, "versions": using, "options": dataclasses.asdict(options)}
            arguments.json.write_text(json.dumps(as_json(report, facts), indent=1) + "\n")
    sys.exit(not report.is_whole)


def _measure(bench: Bench, groups: list[Group], report: Report) -> None:
    for group in groups:
        title = _title(group)
        print(f"{title}: {(group.__doc__ or '').partition(chr(10))[0]}", file=sys.stderr)
        try:
            with timed(title):
                for row in group(bench):  # one by one: those before a failure stay
                    report.rows.append(row)
        except CannotRun as reason:
            report.left_out[title] = str(reason)
        except NotVerified as reason:
            report.refused[title] = str(reason)
        except _TROUBLE as error:
            # One that fails, perhaps by a defect of hubfs, must not cost the others.
            report.failed[title] = f"{type(error).__name__}: {error}"
            say(report.failed[title])


def _groups(arguments: argparse.Namespace) -> list[Group]:
    wanted = arguments.sections or ["all"]
    chosen = SECTIONS if "all" in wanted else {name: SECTIONS[name] for name in wanted}
    every = dict.fromkeys(group for groups in chosen.values() for group in groups)
    return [group for group in every if arguments.only in _title(group)]


def _title(group: Group) -> str:
    return group.__name__.replace("_", " ")


def _heading(found: dict[str, object]) -> str:
    return (
        f"{found['cores']} x {found['cpu']}, {found['memory']}, Linux {found['kernel']}, "
        f"{found['disk']}, load {found['load']}\n"
        f"hubfs {found['hubfs']} ({found['commit']}), Python {found['python']}, "
        f"pyfuse3 {found['pyfuse3']}, libfuse {found['libfuse']}, {found['curl']}"
    )


# --- the command line ----------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure hubfs beside what one would use instead."
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="|".join([*SECTIONS, "all"]))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--quick", action="store_true", help="smaller files, fewer runs")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each thing [3; quick: 2]")
    parser.add_argument("--size", type=parse_size, help="of the model [2G; quick: 256M]")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="groups with that in their name"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - {*SECTIONS, "all"}
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    if arguments.json and not arguments.json.absolute().parent.is_dir():
        parser.error(f"there is no directory for {arguments.json}")
    return arguments


def _options(arguments: argparse.Namespace) -> Options:
    quick = arguments.quick
    runs = arguments.runs or (2 if quick else 3)
    size = arguments.size or (256 << 20 if quick else 2 << 30)
    return Options(max(1, runs), max(2 * TENSOR, size), quick)


# --- nothing is left behind ----------------------------------------------------------


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A directory below TMPDIR; the stacks within have stopped all that used it."""
    scratch = Path(tempfile.mkdtemp(prefix="hubfs-bench-"))
    try:
        yield scratch
    finally:
        detach_below(scratch)
        for pid in family_of(scratch):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(scratch, ignore_errors=True)


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    """Leave in the ordinary way, so that everything is cleaned up; once is enough."""
    _listen_to_signals(signal.SIG_IGN)
    sys.exit(128 + number)


def _listen_to_signals(handler: Callable[[int, object], NoReturn] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


if __name__ == "__main__":
    main()
