"""What went wrong: errors by family, retries, and spend that bought nothing."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from llmops_jobs.report.compare import Judged
from llmops_jobs.report.edition import Edition, change_of
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Finding,
    Link,
    Prose,
    Section,
    Table,
    Text,
    cell,
    figure,
    label,
    name,
    numbers,
)


def errors(edition: Edition) -> Section:
    rows = edition.marts.product("error_daily", edition.first, edition.last)
    failed = edition.usage.total("errors", edition.first, edition.last)
    requests = edition.usage.total("requests", edition.first, edition.last)
    lead: Prose = [
        figure(failed, "count"),
        " of ",
        figure(requests, "count"),
        " model calls failed",
    ]
    if requests:
        lead += [" (", figure(failed / requests, "ratio"), ")"]
    lead += [".", *_retries(rows)]
    families = rows[rows["error_type"] != ""]
    if families.empty:
        blocks: list[Block] = [Text(prose=["No error was recorded in this period."])]
    else:
        blocks = [_families(edition, families)]
    return Section(id="errors", title="Errors", lead=lead, blocks=blocks, width="half")


def _retries(rows: pd.DataFrame) -> Prose:
    logical, attempts = int(rows["logical_calls"].sum()), int(rows["attempts"].sum())
    if not logical:
        return []
    prose: Prose = [
        " Each call took ",
        figure(attempts / logical, "number"),
        " attempts on average",
    ]
    recovered = int(rows["recovered"].sum())
    if recovered:
        prose += ["; ", figure(recovered, "count"), " recovered on a later one"]
    return [*prose, "."]


def _families(edition: Edition, rows: pd.DataFrame) -> Table:
    keys = ["error_type", "family_id"]
    measures = ["errors", "logical_calls", "recovered"]
    grouped = rows.groupby(keys, as_index=False)[measures].sum()
    grouped = grouped.sort_values(["errors", *keys], ascending=[False, True, True])
    known = edition.marts.everything("error_family").drop_duplicates("family_id")
    known = known.set_index("family_id")
    history = edition.marts.product("error_daily", *edition.history)
    daily = history.groupby(["family_id", "error_type", "day"])["errors"].sum()
    total = int(grouped["errors"].sum())
    table_rows = []
    for row in grouped.head(edition.settings.rows).itertuples():
        family = known.loc[row.family_id] if row.family_id in known.index else None
        series = daily.get((row.family_id, row.error_type))
        spark = [0 if series is None else int(series.get(day, 0)) for day in edition.history_days]
        table_rows.append(
            [
                label(
                    str(row.error_type).replace("_", " "),
                    note=_family_note(edition, family),
                    status="watch" if _is_new(edition, family) else None,
                ),
                cell(row.errors, "count", share=row.errors / total),
                cell(row.recovered, "count"),
                Cell(text="", spark=numbers(spark)),
                _example(edition, family),
            ]
        )
    columns = [
        Column(key="error_type", label="Class"),
        Column(key="errors", label="Errors", numeric=True),
        Column(
            key="recovered", label="Recovered", numeric=True, help="succeeded on a later attempt"
        ),
        Column(key="spark", label=f"{len(edition.history_days)} days"),
        Column(key="example", label="Example"),
    ]
    note: Prose = []
    hidden = len(grouped) - len(table_rows)
    if hidden:
        note = [figure(hidden, "count"), " smaller families are not listed."]
    return Table(
        id="error-families",
        title="By class and family",
        columns=columns,
        rows=table_rows,
        note=note,
    )


def _is_new(edition: Edition, family: pd.Series | None) -> bool:
    return family is not None and _seen(family) is not None and _seen(family) >= edition.first  # type: ignore[operator]


def _seen(family: pd.Series) -> date | None:
    return family["first_seen"] if isinstance(family["first_seen"], date) else None


def _family_note(edition: Edition, family: pd.Series | None) -> Prose | None:
    if family is None:
        return None
    note: Prose = ["new · "] if _is_new(edition, family) else []
    if family["template"]:
        note += [name(family["template"], 100)]
    return note or None


def _example(edition: Edition, family: pd.Series | None) -> Cell:
    trace = "" if family is None else str(family["example_trace_id"] or "")
    if not trace:
        return Cell(text="–")
    return Cell(text="trace", value=trace, href=edition.links.trace(trace))


def waste(edition: Edition) -> Section:
    rows = edition.marts.product("waste_daily", edition.first, edition.last)
    spend = edition.usage.usd(edition.first, edition.last)
    if rows.empty:
        return Section(
            id="waste",
            title="Wasted spend",
            blocks=[Text(prose=["No spend was found to be without use in this period."])],
            width="half",
        )
    grouped = rows.groupby("waste_reason", as_index=False)[["requests", "wasted_usd"]].sum()
    grouped = grouped.sort_values(["wasted_usd", "waste_reason"], ascending=[False, True])
    total = float(grouped["wasted_usd"].sum())
    table = Table(
        id="waste-by-reason",
        title="By reason",
        columns=[
            Column(key="reason", label="Reason"),
            Column(key="requests", label="Calls", numeric=True),
            Column(key="wasted_usd", label="Wasted", numeric=True),
            Column(key="share", label="Share of spend", numeric=True),
        ],
        rows=[
            [
                label(str(row.waste_reason).replace("_", " ")),
                cell(row.requests, "count"),
                cell(row.wasted_usd, "usd"),
                cell(
                    row.wasted_usd / spend if spend else None,
                    "ratio",
                    share=min(row.wasted_usd / spend, 1) if spend else None,
                ),
            ]
            for row in grouped.head(edition.settings.rows).itertuples()
        ],
    )
    lead: Prose = [figure(total, "usd"), " bought nothing"]
    if spend:
        lead += [" (", figure(total / spend, "ratio"), " of spend)"]
    return Section(
        id="waste", title="Wasted spend", lead=[*lead, "."], blocks=[table], width="half"
    )


def wasted_usd(edition: Edition) -> float:
    rows = edition.marts.product("waste_daily", edition.first, edition.last)
    return float(rows["wasted_usd"].sum())


def error_rate(edition: Edition) -> Judged:
    return edition.judge(
        lambda first, last: edition.ratio("errors", "requests", first, last), relative=False
    )


def findings(edition: Edition) -> list[Finding]:
    found = []
    judged = error_rate(edition)
    if judged.real and judged.change is not None and judged.change > 0:
        change = change_of(judged, "points", good="down")
        prose: Prose = [
            "The error rate rose to ",
            figure(judged.now, "ratio"),
            " from ",
            figure(judged.before, "ratio"),
            "; ",
            *(change.why if change else []),
            ".",
        ]
        found.append(_finding(edition, prose, judged.change * 100))
    return found + _new_families(edition)


def _new_families(edition: Edition) -> list[Finding]:
    """Kinds of errors never seen before, where there is a before to know from."""
    known = edition.marts.everything("error_family")
    fresh = known[np.array([_is_new(edition, row) for _, row in known.iterrows()], dtype=bool)]
    before = edition.first - timedelta(days=14), edition.first - timedelta(days=1)
    if fresh.empty or edition.usage.covered(*before) < 7:
        return []
    found = []
    for row in fresh.head(3).itertuples():
        prose: Prose = ["A new kind of error: ", name(str(row.error_type).replace("_", " "))]
        if row.template:
            prose += [", ", name(row.template, 100)]
        found.append(_finding(edition, [*prose, "."], 0.5, str(row.example_trace_id or "")))
    return found


def _finding(edition: Edition, prose: Prose, weight: float, trace: str = "") -> Finding:
    evidence = [Link(text="evidence", href="#errors")]
    shown = edition.links.trace(trace) if trace else failed_calls(edition)
    if shown:
        evidence.append(Link(text="trace" if trace else "calls", href=shown))
    return Finding(status="watch", topic="Errors", prose=prose, evidence=evidence, weight=weight)


def failed_calls(edition: Edition) -> str | None:
    return edition.links.calls(edition.first, edition.last, any_of("level", "ERROR"))
