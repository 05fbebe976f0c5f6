"""Where answers fail: metric and feature with the most failing answers, with traces to look at."""

from __future__ import annotations

from typing import Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import Block, Cell, Column, Table, cell, label

_SHOWN = 6


def blocks(edition: Edition) -> list[Block]:
    """Answers that failed in this period, by what they failed and where; no text of users."""
    sums: dict[tuple[str, str], list[float]] = {}
    for row in edition.marts.rows("failing", edition.first, edition.last):
        both = sums.setdefault((row.metric, row.feature), [0.0, 0.0])
        both[0] += row.failed or 0.0
        both[1] += row.n
    ranked = sorted((key for key in sums if sums[key][0] >= 0.5), key=lambda k: (-sums[k][0], k))
    if not ranked:
        return []
    found = edition.marts.failed(edition.first, edition.last)
    rows = []
    for metric, feature in ranked[:_SHOWN]:
        failed, n = sums[metric, feature]
        example = found.get(metric)
        rows.append(
            [
                label(metric, 40, href=_view(edition, feature)),
                label(feature, 40),
                cell(round(failed), "count"),
                cell(failed / n, "ratio", share=min(failed / n, 1.0)),
                _example(edition, example),
            ]
        )
    columns = [
        Column(key="failed_metric", label="Failed"),
        Column(key="feature", label="Feature"),
        Column(key="failed", label="Answers", numeric=True, help="of those scored, estimated"),
        Column(key="rate", label="Fail rate", numeric=True),
        Column(key="example", label="Example", help="of the metric, from any feature"),
    ]
    title = "Where answers fail"
    return [Table(id="failing", title=title, columns=columns, rows=rows, folded=True)]


def _view(edition: Edition, feature: str) -> str | None:
    return edition.traces(any_of("name", feature)) if feature else None


def _example(edition: Edition, row: Any | None) -> Cell:
    if row is None:
        return Cell(text="–")
    href = edition.links.trace(row.trace_id, row.observation_id)
    return Cell(text="trace", value=row.trace_id, href=href)
