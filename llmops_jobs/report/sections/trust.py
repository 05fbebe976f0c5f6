"""Whether the numbers can be trusted: completeness, unpriced calls, the forecast's record."""

from __future__ import annotations

import pandas as pd

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Block,
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
    cell,
    figure,
    label,
    name,
)
from llmops_jobs.report.words import clean

_RECONCILED: dict[str, tuple[Status, str]] = {
    "ok": ("ok", "Complete"),
    "differs": ("act", "Differs"),
    "truncated": ("watch", "Truncated"),
    "out_of_reach": ("none", "Out of reach"),
    "not_checked": ("none", "Not checked"),
}


def data(edition: Edition) -> Section:
    """The copy beside its source, day by day, and what is not priced."""
    rows = edition.marts.rows("reconciliation", edition.first, edition.last)
    blocks: list[Block] = []
    if rows.empty:
        blocks.append(Text(prose=["The copy was not compared with its source for these days."]))
    else:
        blocks.append(_completeness(rows))
    unpriced = unpriced_calls(edition)
    if len(unpriced):
        blocks.append(_unpriced(edition, unpriced))
    lead: Prose = [
        figure(edition.usage.covered(edition.first, edition.last), "count"),
        " of ",
        figure(edition.window, "count"),
        " days hold model calls",
    ]
    quarantined = edition.marts.rows("quarantine", edition.first, edition.last)
    if len(quarantined):
        reasons = quarantined["reason"].value_counts(sort=False)
        lead += [
            "; ",
            figure(len(quarantined), "count"),
            " source rows were refused (",
            name(", ".join(sorted(map(str, reasons.index))[:3]), 120),
            ")",
        ]
    judged = _judge_coverage(edition)
    if judged is not None:
        lead += ["; ", figure(judged, "ratio"), " of the calls were scored"]
    return Section(
        id="data", title="Data completeness", lead=[*lead, "."], blocks=blocks, width="half"
    )


def _judge_coverage(edition: Edition) -> float | None:
    rows = edition.marts.product("quality_daily", edition.first, edition.last)
    requests = edition.usage.total("requests", edition.first, edition.last)
    if rows.empty or not requests:
        return None
    return min(float(rows.groupby("metric")["n"].sum().max()) / requests, 1.0)


def _completeness(rows: pd.DataFrame) -> Table:
    table = []
    for row in rows.sort_values("day", ascending=False, kind="stable").head(7).itertuples():
        status, word = _RECONCILED.get(str(row.status), ("none", clean(row.status, 20)))
        table.append(
            [
                cell(row.day.isoformat(), "day"),
                Cell(text=word, status=status, note=_unexplained(row.unexplained)),
                cell(row.rows_source, "count"),
                cell(row.rows_here, "count"),
                cell(row.duplicates, "count"),
                cell(row.late_rows, "count"),
                cell(row.quarantined, "count"),
            ]
        )
    note: Prose = []
    if len(rows) > len(table):
        note = [
            "The newest ",
            figure(len(table), "count"),
            " of ",
            figure(len(rows), "count"),
            " days.",
        ]
    return Table(
        id="completeness",
        title="Our copy beside the source",
        columns=[
            Column(key="day", label="Day"),
            Column(key="status", label="Status"),
            Column(key="rows_source", label="Expected", numeric=True),
            Column(key="rows_here", label="Got", numeric=True),
            Column(key="duplicates", label="Twice", numeric=True, help="sent more than once"),
            Column(key="late_rows", label="Late", numeric=True),
            Column(key="quarantined", label="Refused", numeric=True),
        ],
        rows=table,
        note=note,
    )


def _unexplained(rows: int) -> Prose | None:
    return [figure(rows, "count"), " unexplained"] if rows else None


def unpriced_calls(edition: Edition) -> pd.DataFrame:
    """Calls and tokens by model that no price was found for; they count as 0 in spend."""
    rows = edition.marts.unpriced()
    rows = rows[rows["ordinal"].between(edition.first.toordinal(), edition.last.toordinal())]
    columns = ["requests", "input_tokens", "output_tokens"]
    grouped = rows.groupby("model", as_index=False)[columns].sum()
    return grouped[grouped["requests"] > 0].sort_values(
        ["requests", "model"], ascending=[False, True]
    )


def _unpriced(edition: Edition, rows: pd.DataFrame) -> Table:
    return Table(
        id="unpriced",
        title="Calls without a price: counted as nothing in spend",
        columns=[
            Column(key="model", label="Model"),
            Column(key="requests", label="Calls", numeric=True),
            Column(key="tokens", label="Tokens", numeric=True),
        ],
        rows=[
            [
                label(row.model, 60, href=edition.view("model", str(row.model))),
                cell(row.requests, "count", status="watch"),
                cell(row.input_tokens + row.output_tokens, "count"),
            ]
            for row in rows.head(5).itertuples()
        ],
    )


def scorecard(edition: Edition) -> Section:
    """How good past forecasts were: intervals that say 80 % should hold 80 %."""
    rows = edition.marts.on("forecast_score", edition.last)
    rows = rows[(rows["metric"] == "cost_usd") & (rows["n"] > 0)]
    if rows.empty:
        return Section(
            id="scorecard",
            title="Forecast score-card",
            blocks=[Text(prose=["No forecast is old enough to be held against what came."])],
            width="half",
        )
    rows = rows.assign(_total=rows["scope"] != "total").sort_values(
        ["_total", "scope", "window"], kind="stable"
    )
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
        for row in rows.head(edition.settings.rows).itertuples()
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
        width="half",
    )


def method(edition: Edition, code_version: str, price_books: list[str]) -> Section:
    evaluation = edition.marts.daily(None, True).usd(edition.first, edition.last)
    rows: list[list[Cell]] = [
        [Cell(text="Days"), Cell(text=f"{edition.first} to {edition.last} (UTC, by start time)")],
        [
            Cell(text="Compared with"),
            Cell(text=f"{edition.period.before_first} to {edition.period.before_last}"),
        ],
        [Cell(text="Requests"), Cell(text="model calls; a trace can hold several")],
        [
            Cell(text="Evaluation overhead"),
            cell(evaluation, "usd", note=["judges and experiments; never in product spend"]),
        ],
        [
            Cell(text="Real changes"),
            Cell(text="larger than the same change on each of the 28 days before"),
        ],
        [Cell(text="Intervals"), Cell(text="95% unless said otherwise")],
        [Cell(text="Price book"), label(", ".join(h[:12] for h in price_books) or "none", 80)],
        [Cell(text="Code version"), Cell(text=code_version)],
    ]
    return Section(
        id="method",
        title="Method",
        blocks=[
            Table(
                id="method-facts",
                title="How this was made",
                columns=[Column(key="what", label="What"), Column(key="how", label="How")],
                rows=rows,
            )
        ],
        width="half",
    )


def price_books(edition: Edition) -> list[str]:
    rows = edition.marts.price_books()
    first, last = edition.first, edition.last
    return sorted({book for day, book in rows if first <= day <= last and book})


def findings(edition: Edition) -> list[Finding]:
    found = []
    absent = edition.window - edition.usage.covered(edition.first, edition.last)
    if absent and edition.window > 1:
        prose: Prose = [
            figure(absent, "count"),
            " of ",
            figure(edition.window, "count"),
            " days have no model call: the copy may be incomplete.",
        ]
        found.append(_finding("act", prose, float(absent)))
    rows = edition.marts.rows("reconciliation", edition.first, edition.last)
    differing = rows[(rows["status"] == "differs") | (rows["unexplained"] != 0)]
    if len(differing):
        lost = int(differing["unexplained"].abs().sum())
        prose = [
            "The copy differs from its source on ",
            figure(len(differing), "count"),
            " of the days: ",
            figure(lost, "count"),
            " rows unexplained.",
        ]
        found.append(_finding("act", prose, float(lost)))
    unpriced = unpriced_calls(edition)
    if len(unpriced):
        calls = int(unpriced["requests"].sum())
        total = edition.usage.total("requests", edition.first, edition.last)
        prose = [
            figure(calls, "count"),
            " calls (",
            figure(calls / total if total else None, "ratio"),
            ") have no price, most of them to ",
            name(unpriced.iloc[0]["model"], 60),
            ": spend is understated.",
        ]
        found.append(_finding("watch", prose, float(calls) / 1000))
    return found


def _finding(status: Status, prose: Prose, weight: float) -> Finding:
    evidence = [Link(text="evidence", href="#data")]
    return Finding(status=status, topic="Data", prose=prose, evidence=evidence, weight=weight)


def decisions(edition: Edition) -> list[Decision]:
    asked = [
        Decision(prose=["Add a price for ", name(row.model, 60), " to the price file."])
        for row in unpriced_calls(edition).head(2).itertuples()
    ]
    pulls = edition.marts.rows("pull", edition.first, edition.last)
    stale = pulls[pulls["stale"].astype(bool)]
    if len(stale):
        first, last = min(stale["day"]), max(stale["day"])
        asked.append(
            Decision(
                prose=[
                    "Copy again the days from ",
                    figure(first, "date"),
                    " to ",
                    figure(last, "date"),
                    ": rows came late.",
                ],
                command=f"llmops run --from {first} --to {last}",
            )
        )
    return asked


def copied_at(edition: Edition) -> str | None:
    """When the last day was first copied. Not when last: a copy that finds nothing new would
    change the page."""
    pulls = edition.marts.on("pull", edition.last)
    times = [at for at in pulls["first_pulled_at"] if at is not None and not pd.isna(at)]
    return max(times).isoformat(timespec="seconds") if times else None
