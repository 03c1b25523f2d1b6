"""Print a part of requirements.lock: what hubfs runs with, or what it is built with.

The lock pins the checks' and the tests' packages too; an image wants none of
them. The parts follow from the lock's own `# via` lines.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_PYFUSE3 = ("cython", "setuptools", "setuptools-scm")
_BLOCK = re.compile(r"^([a-z0-9][a-z0-9._-]*)==.*\n(?:[ ].*\n)*", re.MULTILINE)


def part(lock: str, roots: Iterable[str]) -> str:
    """The blocks of `lock` that `roots` need, themselves included."""
    blocks = {found[1]: found[0] for found in _BLOCK.finditer(lock)}
    kept = set(roots)
    while more := {each for each in blocks if _wanted_by(blocks[each]) & kept} - kept:
        kept |= more
    return "".join(text for name, text in blocks.items() if name in kept)


def _wanted_by(block: str) -> set[str]:
    """Who wants a package: `# via NAME`, or one name on each of the lines that follow."""
    comments = re.findall(r"^ +#(?: via)? +(\S+)", block, re.MULTILINE)
    return {each for each in comments if each != "via"}


def roots_of(project: str, which: str) -> set[str]:
    """The names that the `runtime` or the `build` part begins with."""
    settings = tomllib.loads(project)
    if which == "runtime":
        return set(map(_name, settings["project"]["dependencies"]))
    return {*map(_name, settings["build-system"]["requires"]), *OF_PYFUSE3}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()


def main() -> None:
    """Print the part that the first argument names."""
    roots = roots_of((ROOT / "pyproject.toml").read_text(), sys.argv[1])
    sys.stdout.write(part((ROOT / "requirements.lock").read_text(), roots))


if __name__ == "__main__":
    main()
