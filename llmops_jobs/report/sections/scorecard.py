"""The forecasts' record: intervals that say 80 % should hold 80 %."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import Column, Section, Table, Text, cell, figure, label

_SHOWN = 6


def section(edition: Edition) -> Section:
    """How good past forecasts were: intervals that say 80 % should hold 80 %."""
    rows = [row for row in edition.marts.on("forecast_score", edition.last) if row.n]
    if not rows:
        return Section(
            id="scorecard",
            title="Forecast score-card",
            blocks=[Text(prose=["No forecast is old enough to be held against what came."])],
            width="half",
        )
    rows.sort(key=lambda row: (row.scope != "total", row.scope, row.window))
    table = [
        [
            label(row.scope, 48, note=["last ", figure(row.window, "count"), " nights"]),
            cell(row.n, "count"),
            cell(row.coverage_50, "share"),
            cell(row.coverage_80, "share"),
            cell(row.coverage_95, "share"),
            cell(row.mase, "number"),
            cell(row.bias, "relative"),
        ]
        for row in rows[:_SHOWN]
    ]
    return Section(
        id="scorecard",
        title="Forecast score-card",
        lead=[
            "Share of days that came inside each interval. A scaled error below ",
            figure(1, "count"),
            " beats repeating last week.",
        ],
        blocks=[
            Table(
                id="forecast-scores",
                title="Forecasts against what came",
                columns=[
                    Column(key="scope", label="Scope"),
                    Column(key="n", label="Scored", numeric=True),
                    Column(key="coverage_50", label="In 50%", numeric=True),
                    Column(key="coverage_80", label="In 80%", numeric=True),
                    Column(key="coverage_95", label="In 95%", numeric=True),
                    Column(key="mase", label="Scaled error", numeric=True),
                    Column(key="bias", label="Bias", numeric=True),
                ],
                rows=table,
            )
        ],
        traces=edition.links.calls(*edition.history),
        width="half",
    )
