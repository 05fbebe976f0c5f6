"""What went wrong: errors by class and family, retries, and when providers refused."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

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
from llmops_jobs.report.sections import limits, tools


def section(edition: Edition) -> Section:
    rows = edition.marts.rows("errors", edition.first, edition.last)
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
    lead += [".", *_traces(edition), *_retries(rows)]
    blocks: list[Block] = []
    if any(row.error_type for row in rows):
        blocks.append(_families(edition, rows))
    else:
        blocks.append(Text(prose=["No error was recorded in this period."]))
    blocks += limits.blocks(edition)
    blocks += tools.blocks(edition)
    return Section(
        id="errors",
        title="Errors",
        lead=lead,
        blocks=blocks,
        traces=failed_calls(edition),
        width="half",
    )


def _traces(edition: Edition) -> Prose:
    """What users saw of it: traces whose answering call failed."""
    rows = edition.marts.rows("traces", edition.first, edition.last)
    traces, failed = sum(row.traces for row in rows), sum(row.failed or 0 for row in rows)
    if not traces:
        return []
    return [
        " Users met it in ",
        figure(failed, "count"),
        " traces (",
        figure(failed / traces, "ratio"),
        ").",
    ]


def _retries(rows: list[Any]) -> Prose:
    logical, attempts = sum(row.logical_calls for row in rows), sum(row.attempts for row in rows)
    if not logical:
        return []
    prose: Prose = [
        " Each call took ",
        figure(attempts / logical, "number"),
        " attempts on average",
    ]
    recovered = sum(row.recovered for row in rows)
    if recovered:
        prose += ["; ", figure(recovered, "count"), " recovered on a later one"]
    return [*prose, "."]


def _families(edition: Edition, rows: list[Any]) -> Table:
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row.error_type:
            both = sums.setdefault((row.error_type, row.family_id), [0, 0])
            both[0] += row.errors
            both[1] += row.recovered
    ranked = sorted(sums, key=lambda key: (-sums[key][0], key))
    known = {row.family_id: row for row in edition.marts.everything("error_family")}
    daily: dict[tuple[str, str], dict[date, int]] = {}
    for row in edition.marts.rows("errors", *edition.history):
        days = daily.setdefault((row.error_type, row.family_id), {})
        days[row.day] = days.get(row.day, 0) + row.errors
    total = sum(errors for errors, _ in sums.values())
    table_rows = []
    for key in ranked[: edition.settings.rows]:
        errors, recovered = sums[key]
        family = known.get(key[1])
        series = daily.get(key, {})
        spark = [series.get(day, 0) for day in edition.history_days]
        table_rows.append(
            [
                label(
                    key[0].replace("_", " "),
                    note=_note(edition, family),
                    status="watch" if _is_new(edition, family) else None,
                ),
                cell(errors, "count", share=errors / total if total else None),
                cell(recovered, "count"),
                Cell(text="", spark=numbers(spark)),
                _example(edition, family),
            ]
        )
    note: Prose = []
    if hidden := len(ranked) - len(table_rows):
        note = [figure(hidden, "count"), " smaller families are not listed."]
    return Table(
        id="error-families",
        title="By class and family",
        columns=[
            Column(key="error_type", label="Class"),
            Column(key="errors", label="Errors", numeric=True),
            Column(
                key="recovered",
                label="Recovered",
                numeric=True,
                help="succeeded on a later attempt",
            ),
            Column(key="spark", label=f"{len(edition.history_days)} days"),
            Column(key="example", label="Example"),
        ],
        rows=table_rows,
        note=note,
    )


def _is_new(edition: Edition, family: Any | None) -> bool:
    return (
        family is not None
        and family.first_seen is not None
        and edition.first <= family.first_seen <= edition.last
    )


def _note(edition: Edition, family: Any | None) -> Prose | None:
    if family is None:
        return None
    note: Prose = ["new · "] if _is_new(edition, family) else []
    if family.template:
        note += [name(family.template, 100)]
    return note or None


def _example(edition: Edition, family: Any | None) -> Cell:
    trace = "" if family is None else str(family.example_trace_id or "")
    if not trace:
        return Cell(text="–")
    return Cell(text="trace", value=trace, href=edition.links.trace(trace))


def rate(edition: Edition) -> Judged:
    return edition.judge(edition.ratios("errors", "requests"), relative=False)


def findings(edition: Edition) -> list[Finding]:
    found = []
    judged = rate(edition)
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
    fresh = [row for row in known if _is_new(edition, row)]
    before = edition.first - timedelta(days=14), edition.first - timedelta(days=1)
    if not fresh or edition.usage.covered(*before) < 7:
        return []
    found = []
    for row in fresh[:3]:
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
    return edition.calls(any_of("level", "ERROR"))
