"""README promises nothing that no test proves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("mount", "hubcache", "cli", "control", "jobs", "budget")


def promises() -> list[str]:
    """The sentences of README's section on semantics."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("\n## Semantics\n")[2].partition("\n## ")[0]
    items = re.findall(r"^\* (.*(?:\n  .*)*)", section, re.MULTILINE)
    ends = re.compile(r"(?:(?<=\.)|(?<=\.\))) (?=[A-Z`(])")
    return [sentence for item in items for sentence in ends.split(plain(item))]


def proofs() -> str:
    """The docstrings of all tests, a line each."""
    files = (path for place in PLACES for path in (ROOT / "tests" / place).glob("test_*.py"))
    return "\n".join(plain(text) for path in sorted(files) for text in docstrings(path))


def docstrings(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    found = [ast.get_docstring(node) for node in nodes if node.name.startswith("test_")]
    return [text for text in found if text]


def plain(text: str) -> str:
    return " ".join(text.split())


def test_every_sentence_of_the_semantics_is_quoted_by_the_test_that_proves_it() -> None:
    proved = proofs()
    assert [promise for promise in promises() if promise not in proved] == []
