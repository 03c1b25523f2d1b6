"""What came out: a table for people, JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import groupby

from scripts.benchmark.rows import Row, Side

_ORDER = ("cold", "warm", "metadata", "memory")
_HEADINGS = ("", "ours", "reference", "ratio", "target", "", "")
_STEADY = 0.25


@dataclass
class Report:
    """Rows, and why others are missing."""

    rows: list[Row] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether everything that could be measured was, with the right bytes."""
        return not self.refused and not self.failed


# --- for people ----------------------------------------------------------------------


def table(report: Report) -> str:
    """Aligned lines, by section; within one as they were measured."""
    rows = sorted(report.rows, key=lambda row: _ORDER.index(row.section))
    cells = {row.name: _cells(row) for row in rows}
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *cells.values(), strict=True)]
    lines = []
    for section, members in groupby(rows, key=lambda row: row.section):
        lines += ["", _aligned((section, *_HEADINGS[1:]), widths)]
        for row in members:
            lines.append(_aligned(cells[row.name], widths))
            lines += [f"    {row.note}"] if row.note else []
    return "\n".join([*lines, *_missing(report)])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {True: "met", False: "MISSED", None: ""}[row.is_met]
    ratio = f"{row.ratio:.3g}" if row.ratio < 0.1 else f"{row.ratio:.2f}"
    ours, reference = (quantity(each.median, row.unit) for each in (row.ours, row.reference))
    noise = f"runs differ by {row.spread:.0%}" if row.spread > _STEADY else ""
    return f"  {row.name}", ours, reference, ratio, str(row.target or ""), verdict, noise


def _aligned(cells: Iterable[str], widths: list[int]) -> str:
    first, *rest = (
        cell.rjust(width) if 0 < at < 5 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def _missing(report: Report) -> list[str]:
    kinds = {
        "left out": report.left_out,
        "refused, wrong or unchecked bytes": report.refused,
        "failed": report.failed,
    }
    return [
        line
        for kind, found in kinds.items()
        if found
        for line in ("", f"{kind}:", *(f"  {name}: {why}" for name, why in found.items()))
    ]


def quantity(value: float, unit: str) -> str:
    """A figure as people write it."""
    if unit == "MB/s":
        return f"{value / 1000:.1f} GB/s" if value >= 10_000 else f"{value:.0f} MB/s"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.2f} s"
    if unit == "B":
        return f"{value / (1 << 20):.1f} MiB"
    return f"{value:,.0f}{unit}"


# --- for programs --------------------------------------------------------------------


def as_json(report: Report, facts: dict[str, object]) -> dict[str, object]:
    """All of it, every run's figure included."""
    return {
        **facts,
        "rows": [_row_as_json(row) for row in report.rows],
        "left_out": report.left_out,
        "refused": report.refused,
        "failed": report.failed,
    }


def _row_as_json(row: Row) -> dict[str, object]:
    return {
        "section": row.section,
        "name": row.name,
        "unit": row.unit,
        "ours": _side_as_json(row.ours),
        "reference": _side_as_json(row.reference),
        "ratio": row.ratio,
        "spread": row.spread,
        "target": asdict(row.target) if row.target else None,
        "met": row.is_met,
        "note": row.note,
        "details": row.details,
    }


def _side_as_json(side: Side) -> dict[str, object]:
    return {**asdict(side), "median": side.median, "is_measured": bool(side.proofs)}
