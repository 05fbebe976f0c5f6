"""What changed and what it did: version comparisons, lasting changes, proposed rollbacks."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import (
    Cell,
    Column,
    Decision,
    Finding,
    Link,
    Prose,
    Section,
    Status,
    Table,
    Text,
    Unit,
    cell,
    figure,
    interval,
    label,
    name,
)
from llmops_jobs.report.words import clean, write

_VERDICTS: dict[str, tuple[Status, str]] = {
    "worse": ("act", "Worse"),
    "better": ("ok", "Better"),
    "same": ("none", "No change"),
    "not_enough_data": ("none", "Undecided"),
}
_ORDER = {"worse": 0, "better": 1, "same": 2, "not_enough_data": 3}


def units_of(metric: str) -> tuple[Unit, Unit]:
    """(unit of the value, unit of the difference) of a metric named by another room."""
    words = metric.lower().replace("_", " ")
    if "cost" in words or "usd" in words or "spend" in words:
        return "usd", "usd_change"
    if "per second" in words:
        return "number", "number_change"
    if any(word in words for word in ("latency", "first token", "ttft", "seconds")):
        return "seconds", "seconds_change"
    if "token" in words or "requests" in words:
        return "count", "count_change"
    return "ratio", "points"


def comparisons(edition: Edition) -> Section:
    rows = _current(edition)
    if rows.empty:
        return Section(
            id="versions",
            title="Versions compared",
            blocks=[Text(prose=["No two versions of a prompt or model ran side by side."])],
            width="half",
        )
    scales = _scales(rows)
    table = [_comparison(edition, row, scales[row.metric]) for row in rows.head(8).itertuples()]
    note: Prose = []
    if len(rows) > len(table):
        note = [
            figure(len(rows) - len(table), "count"),
            " more comparisons are in the table ",
            name("version_comparison"),
            ".",
        ]
    return Section(
        id="versions",
        title="Versions compared",
        lead=[
            "New against old on production traffic. The intervals stay valid however often they "
            "are read."
        ],
        blocks=[
            Table(
                id="version-comparisons",
                title="Candidate minus baseline",
                columns=[
                    Column(key="subject", label="Metric and version"),
                    Column(key="status", label="Verdict"),
                    Column(key="difference", label="Difference, 95% interval"),
                    Column(key="values", label="Before → after", numeric=True),
                ],
                rows=table,
                note=note,
            )
        ],
        width="half",
    )


def _current(edition: Edition) -> pd.DataFrame:
    """The comparisons as of the last day, the telling ones first."""
    rows = edition.marts.on("version_comparison", edition.last)
    rows = rows[rows["slice"] == "total"]
    order = rows["verdict"].map(_ORDER).fillna(9)
    size = rows["n_candidate"]
    return rows.assign(_order=order, _size=-size).sort_values(
        ["_order", "_size", "subject", "metric"], kind="stable"
    )


def _scales(rows: pd.DataFrame) -> dict[str, float]:
    """The reach of each metric's axis: what its intervals need."""
    ends = rows[["low", "high", "difference"]].astype(float).abs().max(axis=1)
    reach = ends.groupby(rows["metric"]).max()
    return {str(metric): float(value) if value > 0 else 1.0 for metric, value in reach.items()}


def _comparison(edition: Edition, row: Any, scale: float) -> list[Cell]:
    kind, _, subject = str(row.subject).partition(":")
    href = edition.links.prompt(subject, str(row.candidate)) if kind == "prompt" else None
    status, word = _VERDICTS.get(str(row.verdict), ("none", clean(row.verdict, 20)))
    value_unit, change_unit = units_of(str(row.metric))
    low, high = (figure(end, "number").value for end in (row.low, row.high))
    before, after = (
        write(_float(v), value_unit) for v in (row.baseline_value, row.candidate_value)
    )
    note: Prose = [name(subject or row.subject, 48), " ", name(row.baseline, 24), " → "]
    note += [name(row.candidate, 24), ", n = ", figure(_float(row.n_candidate), "count")]
    if _float(row.needed) and word == "Undecided":
        note += [", about ", figure(_float(row.needed), "count"), " more needed"]
    return [
        label(str(row.metric).replace("_", " "), 40, href=href, note=note),
        Cell(text=word, status=status),
        cell(
            _float(row.difference),
            change_unit,
            low=low,
            high=high,
            scale=scale,
            note=interval(low, high, change_unit),
            status=status,
        ),
        Cell(text=f"{before} → {after}"),
    ]


def _float(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def changes(edition: Edition) -> Section:
    """Lasting changes that were first reported in the charts' span, newest first."""
    rows = _known_changes(edition, *edition.history)
    rows = rows.sort_values("day", ascending=False, kind="stable")
    if rows.empty:
        return Section(
            id="changes",
            title="Lasting changes",
            blocks=[Text(prose=["No metric moved to a new level in this span."])],
            width="half",
        )
    table = []
    for row in rows.head(8).itertuples():
        value_unit, change_unit = units_of(str(row.metric))
        change_unit = "relative" if value_unit != "ratio" else change_unit
        levels = " → ".join(write(_float(v), value_unit) for v in (row.expected, row.value))
        table.append(
            [
                cell(row.day.isoformat(), "day"),
                label(str(row.metric).replace("_", " "), 40, note=[name(row.scope, 60)]),
                Cell(text=levels),
                cell(
                    _float(row.effect),
                    change_unit,
                    note=interval(_float(row.low), _float(row.high), change_unit),
                ),
                label(row.cause, 160) if row.cause else Cell(text="no known event"),
            ]
        )
    return Section(
        id="changes",
        title="Lasting changes",
        lead=["Where a metric moved to a new level, joined with what is known to have happened."],
        blocks=[
            Table(
                id="change-points",
                title="Change points",
                columns=[
                    Column(key="day", label="Since"),
                    Column(key="metric", label="Metric"),
                    Column(key="levels", label="Level", numeric=True),
                    Column(key="effect", label="Effect, 95% interval", numeric=True),
                    Column(key="cause", label="What happened"),
                ],
                rows=table,
            )
        ],
        width="half",
    )


def _known_changes(edition: Edition, first: date, last: date) -> pd.DataFrame:
    """Change points of the days that a report as of the last day could know."""
    rows = edition.marts.rows("change_point", first, last)
    detected = rows["detected_on"]
    known = [not isinstance(day, date) or day <= edition.last for day in detected]
    return rows[np.array(known, dtype=bool)]


def findings(edition: Edition) -> list[Finding]:
    rows = _current(edition)
    worse = rows[rows["verdict"] == "worse"]
    pairs = worse.groupby(["subject", "baseline", "candidate"], sort=False)
    found = [_worse(edition, part) for _, part in list(pairs)[:4]]
    for row in _known_changes(edition, edition.first, edition.last).head(4).itertuples():
        value_unit, change_unit = units_of(str(row.metric))
        change_unit = "relative" if value_unit != "ratio" else change_unit
        prose = [
            name(str(row.metric).replace("_", " "), 40),
            " of ",
            name(row.scope, 60),
            " moved to a new level on ",
            figure(row.day, "date"),
            ": ",
            figure(_float(row.effect), change_unit),
            ".",
        ]
        if row.cause:
            prose += [" ", name(row.cause, 160)]
        evidence = [Link(text="evidence", href="#changes")]
        found.append(
            Finding(status="watch", topic="Change", prose=prose, evidence=evidence, weight=1.0)
        )
    return found


def _worse(edition: Edition, rows: pd.DataFrame) -> Finding:
    """One pair of versions, by its metric with the most calls, the others named."""
    row = rows.iloc[0]
    change_unit = units_of(str(row["metric"]))[1]
    kind, _, subject = str(row["subject"]).partition(":")
    prose: Prose = [
        f"{clean(kind, 20).capitalize()} ",
        name(subject, 60),
        ": ",
        name(row["candidate"], 40),
        " is worse than ",
        name(row["baseline"], 40),
        " in ",
        name(str(row["metric"]).replace("_", " "), 40),
        ": ",
        figure(_float(row["difference"]), change_unit),
        " (",
        figure(_float(row["low"]), change_unit),
        " to ",
        figure(_float(row["high"]), change_unit),
        "), n = ",
        figure(_float(row["n_candidate"]), "count"),
        ".",
    ]
    others = [str(metric).replace("_", " ") for metric in rows["metric"].iloc[1:4]]
    if others:
        prose += [" Also in ", name(", ".join(others), 120), "."]
    if row["caveat"]:
        prose += [" ", name(row["caveat"], 160)]
    evidence = [Link(text="evidence", href="#versions")]
    traces = edition.links.calls(edition.first, edition.last, any_of("promptName", subject))
    if kind == "prompt" and traces:
        evidence.append(Link(text="calls", href=traces))
    # A prompt's version is a person's choice; a model that answers in another's place often is not.
    status: Status = "act" if kind == "prompt" and not row["caveat"] else "watch"
    weight = abs(_float(row["difference"]) or 0) * float(row["n_candidate"] or 0)
    return Finding(status=status, topic="Version", prose=prose, evidence=evidence, weight=weight)


def decisions(edition: Edition) -> list[Decision]:
    asked = []
    for row in edition.marts.everything("rollback").itertuples():
        known = row.proposed_on is not None and row.proposed_on <= edition.last
        if row.status != "proposed" or not known:
            continue
        asked.append(
            Decision(
                prose=[
                    "Roll prompt ",
                    name(row.prompt_name, 60),
                    " back from version ",
                    figure(row.from_version, "count"),
                    " to ",
                    figure(row.to_version, "count"),
                    "? ",
                    name(row.reason, 240),
                ],
                command=f"llmops prompts rollback {clean(row.rollback_id, 64)} --apply",
            )
        )
    return asked
