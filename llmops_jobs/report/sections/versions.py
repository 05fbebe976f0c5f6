"""What a new version did: comparisons on production traffic, and proposed rollbacks."""

from __future__ import annotations

from typing import Any

from llmops_jobs.report.edition import Edition
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
from llmops_jobs.report.words import MINUS, clean, write
from llmops_jobs.versions.compare import OF_A_SAMPLE

_VERDICTS: dict[str, tuple[Status, str]] = {
    "worse": ("act", "Worse"),
    "better": ("ok", "Better"),
    "same": ("none", "No change"),
    "not_enough_data": ("none", "Undecided"),
}
_SHOWN = 8
_ALIKE = 0.1
_ORDER = {"worse": 0, "better": 1, "same": 2, "not_enough_data": 3}


def units_of(metric: str) -> tuple[Unit, Unit]:
    """(unit of the value, unit of the difference) of a metric named by another room."""
    words = metric.lower().replace("_", " ")
    if words.endswith("growth"):
        return "ratio", "points"
    if "cost" in words or "usd" in words or "spend" in words:
        return "usd", "usd_change"
    if "per second" in words:
        return "number", "number_change"
    if any(word in words for word in ("latency", "first token", "ttft", "seconds")):
        return "seconds", "seconds_change"
    if "token" in words or "requests" in words:
        return "count", "count_change"
    return "ratio", "points"


def metric_name(metric: Any) -> str:
    """`pass_rate:quality_model:correct` as people say it."""
    kind, _, rest = str(metric).partition(":")
    kind = kind.replace("_", " ")
    return f"{kind} ({rest.replace(':', ' ').replace('_', ' ')})" if rest else kind


def section(edition: Edition) -> Section:
    rows = _current(edition)
    if not rows:
        return Section(
            id="versions",
            title="Versions compared",
            blocks=[Text(prose=["No two versions of a prompt or model ran side by side."])],
            width="half",
        )
    scales = _scales(rows)
    table = [_comparison(edition, row, scales[row.metric]) for row in rows[:_SHOWN]]
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
            ),
            *_balance(edition, {row.subject for row in rows}),
        ],
        traces=edition.calls(),
        width="half",
    )


def _balance(edition: Edition, subjects: set[str]) -> list[Table]:
    """What differed most between the calls of two versions, and what is left of it after
    stratification: a standardised mean difference above 0.1 is worth a thought (Austin 2009)."""
    found = [
        row
        for row in edition.marts.on("version_balance", edition.last)
        if row.subject in subjects and row.smd_before is not None
    ]
    found.sort(key=lambda row: (-abs(row.smd_before), row.subject, row.covariate))
    rows = []
    for row in found[:_SHOWN]:
        subject = str(row.subject).partition(":")[2]
        what = f"{row.covariate} {row.level}".strip().replace("_", " ")
        left = abs(row.smd_after or 0.0)
        rows.append(
            [
                label(subject, 48, note=[name(f"{row.baseline} → {row.candidate}", 48)]),
                label(what, 48),
                cell(row.smd_before, "number"),
                cell(row.smd_after, "number", status="watch" if left > _ALIKE else None),
            ]
        )
    columns = [
        Column(key="subject", label="Versions"),
        Column(key="covariate", label="What differed"),
        Column(key="smd_before", label="As it came", numeric=True, help="standardised difference"),
        Column(key="smd_after", label="After strata", numeric=True, help="standardised difference"),
    ]
    title = "Were their calls alike"
    table = Table(id="version-balance", title=title, columns=columns, rows=rows, folded=True)
    return [table] if rows else []


def _current(edition: Edition) -> list[Any]:
    """The comparisons as of the last day, the telling ones first."""
    return sorted(
        edition.marts.on("version_comparison", edition.last),
        key=lambda r: (_ORDER.get(r.verdict, 9), -(r.n_candidate or 0), r.subject, r.metric),
    )


def _scales(rows: list[Any]) -> dict[str, float]:
    """The reach of each metric's axis: what its intervals need."""
    reach: dict[str, float] = {}
    for row in rows:
        ends = (abs(end) for end in (row.low, row.high, row.difference) if end is not None)
        reach[row.metric] = max(reach.get(row.metric, 0.0), *ends, 0.0)
    return {metric: value or 1.0 for metric, value in reach.items()}


def _comparison(edition: Edition, row: Any, scale: float) -> list[Cell]:
    kind, _, subject = str(row.subject).partition(":")
    href = edition.links.prompt(subject, str(row.candidate)) if kind == "prompt" else None
    status, word = _VERDICTS.get(str(row.verdict), ("none", clean(row.verdict, 20)))
    value_unit, change_unit = units_of(str(row.metric))
    low, high = (figure(end, "number").value for end in (row.low, row.high))
    before, after = (write(v, value_unit) for v in (row.baseline_value, row.candidate_value))
    note: Prose = [name(subject or row.subject, 48), " ", name(row.baseline, 24), " → "]
    note += [name(row.candidate, 24), ", n = ", figure(row.n_candidate, "count")]
    if row.needed and word == "Undecided":
        note += [", about ", figure(row.needed, "count"), " more needed"]
    return [
        label(metric_name(row.metric), 48, href=href, note=note),
        Cell(text=word, status=status),
        cell(
            row.difference,
            change_unit,
            low=low,
            high=high,
            scale=scale,
            note=interval(low, high, change_unit),
            status=status,
        ),
        Cell(text=f"{before} → {after}"),
    ]


def findings(edition: Edition) -> list[Finding]:
    pairs: dict[tuple[str, str, str], list[Any]] = {}
    for row in _current(edition):
        if row.verdict == "worse":
            pairs.setdefault((row.subject, row.baseline, row.candidate), []).append(row)
    return [_worse(edition, rows) for rows in list(pairs.values())[:4]]


def _worse(edition: Edition, rows: list[Any]) -> Finding:
    """One pair of versions, by its metric with the most calls, the others named."""
    row = rows[0]
    change_unit = units_of(str(row.metric))[1]
    kind, _, subject = str(row.subject).partition(":")
    prose: Prose = [
        f"{clean(kind, 20).capitalize()} ",
        name(subject, 60),
        ": ",
        name(row.candidate, 40),
        " is worse than ",
        name(row.baseline, 40),
        " in ",
        name(metric_name(row.metric), 48),
        ": ",
        figure(row.difference, change_unit),
        " (",
        figure(row.low, change_unit),
        " to ",
        figure(row.high, change_unit),
        "), n = ",
        figure(row.n_candidate, "count"),
        ".",
    ]
    others = [metric_name(other.metric) for other in rows[1:4]]
    if others:
        prose += [" Also in ", name(", ".join(others), 120), "."]
    if row.caveat:
        prose += [" Caution: ", name(row.caveat.replace("(-", f"({MINUS}"), 160), "."]
    evidence = [Link(text="evidence", href="#versions")]
    traces = edition.view("prompt_name", subject)
    if kind == "prompt" and traces:
        evidence.append(Link(text="calls", href=traces))
    # A prompt's version is a person's choice; a model that answers in another's place often is not.
    is_fair = not row.caveat or row.caveat.startswith(OF_A_SAMPLE)
    status: Status = "act" if kind == "prompt" and is_fair else "watch"
    weight = abs(row.difference or 0.0) * (row.n_candidate or 0)
    return Finding(status=status, topic="Version", prose=prose, evidence=evidence, weight=weight)


def decisions(edition: Edition) -> list[Decision]:
    """Proposed rollbacks that the comparison of the last day still asks for, and that were not
    applied by then."""
    worse: dict[tuple[str, str, str], list[Any]] = {}
    for row in _current(edition):
        if row.verdict == "worse":
            worse.setdefault((row.subject, row.baseline, row.candidate), []).append(row)
    asked = []
    for row in edition.marts.everything("rollback"):
        key = (f"prompt:{row.prompt_name}", str(row.to_version), str(row.from_version))
        begun = row.proposed_on is not None and row.proposed_on <= edition.last
        applied = row.applied_at is not None and row.applied_at.date() <= edition.last
        if begun and not applied and key in worse:
            asked.append(_rollback(row, worse[key]))
    return asked


def _rollback(row: Any, worse: list[Any]) -> Decision:
    prose: Prose = [
        "Roll prompt ",
        name(row.prompt_name, 60),
        " back from version ",
        figure(row.from_version, "count"),
        " to ",
        figure(row.to_version, "count"),
        "? It is worse in ",
    ]
    for place, one in enumerate(worse[:3]):
        prose += [
            *([", "] if place else []),
            name(metric_name(one.metric), 48),
            " by ",
            figure(one.difference, units_of(str(one.metric))[1]),
        ]
    command = f"llmops prompts rollback {clean(row.rollback_id, 64)} --apply"
    return Decision(prose=[*prose, "."], command=command)
