"""Calls that are no model calls: which tools, retrievers and guardrails fail."""

from __future__ import annotations

from datetime import date

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Table,
    cell,
    interval,
    label,
    name,
    numbers,
)
from llmops_jobs.signals.intervals import wilson


def blocks(edition: Edition) -> list[Block]:
    """Tools by errors, then by calls."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row in edition.marts.rows("tools", edition.first, edition.last):
        calls, errors = sums.get((row.tool, row.type), (0, 0))
        sums[row.tool, row.type] = (calls + row.calls, errors + row.errors)
    daily: dict[tuple[str, str], dict[date, int]] = {}
    for row in edition.marts.rows("tools", *edition.history):
        daily.setdefault((row.tool, row.type), {})[row.day] = row.errors
    ranked = sorted(
        (key for key in sums if sums[key][0]), key=lambda k: (-sums[k][1], -sums[k][0], k)
    )
    rows = []
    for key in ranked[: edition.settings.rows]:
        calls, errors = sums[key]
        low, high = wilson(errors, calls)
        spark = numbers(daily.get(key, {}).get(day, 0) for day in edition.history_days)
        rows.append(
            [
                label(
                    key[0],
                    48,
                    note=[name(key[1].lower(), 16)],
                    href=edition.calls(any_of("name", key[0])),
                ),
                cell(calls, "count"),
                cell(errors, "count"),
                cell(errors / calls, "ratio", note=interval(low, high, "ratio")),
                Cell(text="", spark=spark if errors else None),
            ]
        )
    columns = [
        Column(key="tool", label="Tool"),
        Column(key="calls", label="Calls", numeric=True),
        Column(key="errors", label="Failed", numeric=True),
        Column(key="rate", label="Fail rate", numeric=True, help="with its 95% interval"),
        Column(key="spark", label="Failed, daily"),
    ]
    title = "Tools, retrievers and guardrails"
    return [Table(id="tools", title=title, columns=columns, rows=rows, folded=True)] if rows else []
