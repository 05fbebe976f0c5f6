"""Whether the scorers can be believed: agreement with people, the judge's night, its canary."""

from __future__ import annotations

from typing import Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Prose,
    Table,
    cell,
    figure,
    interval,
    label,
    name,
)


def agreement(edition: Edition) -> Prose:
    """How well the judge agrees with people."""
    rows = [
        row
        for row in edition.marts.on("judge_agreement", edition.last)
        if row.n and row.kappa is not None
    ]
    if not rows:
        return []
    row = min(rows, key=lambda row: (-row.n, row.metric))
    return [
        " Judge against people on ",
        name(row.metric, 40),
        ": kappa ",
        figure(row.kappa, "number"),
        " (",
        figure(row.kappa_low, "number"),
        " to ",
        figure(row.kappa_high, "number"),
        "), n = ",
        figure(row.n, "count"),
        ".",
    ]


def blocks(edition: Edition) -> list[Block]:
    rows = [*_agreements(edition), *_models(edition), *_nights(edition), *_canary(edition)]
    if not rows:
        return []
    columns = [
        Column(key="what", label="What"),
        Column(key="n", label="n", numeric=True),
        Column(key="value", label="Value", numeric=True),
        Column(key="meaning", label="Meaning"),
    ]
    title = "Can the scorers be believed"
    return [Table(id="scorers", title=title, columns=columns, rows=rows, folded=True)]


def _agreements(edition: Edition) -> list[list[Cell]]:
    rows = []
    for row in edition.marts.on("judge_agreement", edition.last):
        passes = None if row.failures is None else row.n - row.failures
        for n, value, low, high, meaning in (
            (
                row.failures,
                row.sensitivity,
                row.sensitivity_low,
                row.sensitivity_high,
                "failures that it finds",
            ),
            (
                passes,
                row.specificity,
                row.specificity_low,
                row.specificity_high,
                "passes that it passes",
            ),
        ):
            if value is not None:
                head = label(row.metric, 40, note=[name(row.predictor or "judge", 40)])
                note = None if low is None else interval(low, high, "ratio")
                shown = Cell(text=f"{meaning}, against people, four weeks")
                rows.append([head, cell(n, "count"), cell(value, "ratio", note=note), shown])
    return rows


def _models(edition: Edition) -> list[list[Cell]]:
    """The newest trained quality model of each metric, as of the last day."""
    newest: dict[str, Any] = {}
    for row in edition.marts.everything("quality_model"):
        if row.trained_to is not None and row.trained_to <= edition.last:
            before = newest.get(row.metric)
            if before is None or row.trained_to > before.trained_to:
                newest[row.metric] = row
    return [
        [
            label(f"model of {metric}", 48, note=[name(row.status, 60)]),
            cell(row.n, "count"),
            cell(row.auc, "number"),
            Cell(text="AUC out of fold; the best rule alone has the one below"),
        ]
        if column == "auc"
        else [
            label(f"best rule for {metric}", 48),
            cell(row.n, "count"),
            cell(row.baseline_auc, "number"),
            Cell(text="AUC of the best single scorer"),
        ]
        for metric, row in sorted(newest.items())
        for column in ("auc", "baseline_auc")
    ]


def _nights(edition: Edition) -> list[list[Cell]]:
    rows = edition.marts.rows("judge_night", edition.first, edition.last)
    wanted = sum(row.wanted or 0 for row in rows)
    if not wanted:
        return []
    had = sum((row.judged or 0) + (row.cached or 0) for row in rows)
    return [
        [
            Cell(text="judge's verdicts"),
            cell(wanted, "count"),
            cell(had / wanted, "ratio"),
            Cell(text="given or found in the cache, of those wanted"),
        ],
        [
            Cell(text="judge's cost"),
            cell(sum(row.requests or 0 for row in rows), "count"),
            cell(sum(row.cost_usd or 0.0 for row in rows), "usd"),
            Cell(text="for so many requests"),
        ],
    ]


def _canary(edition: Edition) -> list[list[Cell]]:
    """The same calls judged again: a judge that changes its mind has changed."""
    sums: dict[str, list[int]] = {}
    for row in edition.marts.rows("canary", edition.first, edition.last):
        both = sums.setdefault(row.rubric, [0, 0])
        both[0] += row.n
        both[1] += row.changed or 0
    return [
        [
            label(f"canary: {rubric}", 48),
            cell(n, "count"),
            cell(changed / n, "ratio", status="watch" if changed else "ok"),
            Cell(text="fixed calls judged otherwise than at first"),
        ]
        for rubric, (n, changed) in sorted(sums.items())
        if n
    ]
