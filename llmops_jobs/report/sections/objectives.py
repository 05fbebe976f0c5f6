"""Objectives (SLOs): what is left of each error budget over 28 rolling days, and how fast it burns.

The arithmetic is that of the alerts (`alerts.slo`): budget = 1 - objective; spent = share of bad
events / budget over the window; the pace is the day's share over the budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.alerts.settings import Slo
from llmops_jobs.alerts.slo import PERIOD_DAYS
from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import of_call
from llmops_jobs.report.model import (
    Cell,
    Column,
    Finding,
    Link,
    Prose,
    Section,
    Status,
    Table,
    cell,
    figure,
    label,
    name,
    numbers,
)
from llmops_jobs.report.words import clean

_WORDS: dict[Status, str] = {"act": "Missed", "watch": "At risk", "ok": "Met", "none": "No data"}
_SHORT = 0.25  # less left of the budget than this is a warning


@dataclass(frozen=True)
class Held:
    """An objective on one slice as of the last day."""

    slo: Slo
    labels: dict[str, str]
    n: float
    good: float
    spent: float  # of the error budget, 1 is all of it
    pace: float | None  # of the last day; 1 would just use the budget up
    by_day: list[float | None]

    @property
    def status(self) -> Status:
        if self.spent >= 1:
            return "act"
        burning = self.pace is not None and self.pace > 1
        return "watch" if 1 - self.spent < _SHORT and burning else "ok"


def held(edition: Edition) -> list[Held]:
    """Every objective and slice, the most spent first; none over several projects."""
    if len(edition.marts.projects) > 1:
        return []
    found = [one for slo in edition.alerts.slos for one in _of(edition, slo)]
    return sorted(found, key=lambda one: (-one.spent, one.slo.name, sorted(one.labels.items())))


def _of(edition: Edition, slo: Slo) -> Iterator[Held]:
    days = [edition.last - timedelta(days=ago) for ago in range(PERIOD_DAYS - 1, -1, -1)]
    for slice_, by_day in edition.marts.measured(slo).items():
        counts = {day: (float(row.bad), float(row.n)) for day, row in by_day.items()}
        window = [counts.get(day, (0.0, 0.0)) for day in days]
        bad, total = (sum(part) for part in zip(*window, strict=True))
        if not total:
            continue
        budget = 1 - slo.objective
        last_bad, last_total = window[-1]
        yield Held(
            slo=slo,
            labels=dict(slice_),
            n=total,
            good=1 - bad / total,
            spent=bad / total / budget,
            pace=last_bad / last_total / budget if last_total else None,
            by_day=[_good(counts, day) for day in edition.history_days],
        )


def _good(counts: dict[date, tuple[float, float]], day: date) -> float | None:
    bad, total = counts.get(day, (0.0, 0.0))
    return 1 - bad / total if total else None


def of(edition: Edition, *metrics: str) -> tuple[Status, str, Prose]:
    """(status, its word, what is left) of the most spent objective on any of the metrics."""
    found = [one for one in held(edition) if one.slo.metric in metrics]
    if not found:
        return "none", "", []
    one = found[0]
    left: Prose = [
        " · objective ",
        figure(one.slo.objective, "ratio"),
        ", ",
        figure(max(1 - one.spent, 0.0), "share"),
        " of its error budget left",
    ]
    return one.status, _WORDS[one.status], left


def section(edition: Edition) -> Section | None:
    """None where no objective is configured."""
    found = held(edition)
    if not found:
        return None
    rows = []
    for one in found[: max(edition.settings.rows, 12)]:
        conditions = [
            condition for item in sorted(one.labels.items()) for condition in of_call(*item)
        ]
        slice_ = ", ".join(f"{key}={value}" for key, value in sorted(one.labels.items()))
        within: Prose = [", within ", figure(one.slo.within, "seconds")] if one.slo.within else []
        note: Prose = [METRICS[one.slo.metric].says, *within]
        rows.append(
            [
                label(one.slo.name, 48, note=note, href=edition.calls(*conditions)),
                label(slice_ or "everything", 60),
                Cell(text=_WORDS[one.status], status=one.status),
                cell(one.slo.objective, "ratio"),
                cell(one.good, "ratio", note=["n = ", figure(one.n, "count")]),
                cell(max(1 - one.spent, 0.0), "share", share=min(max(1 - one.spent, 0.0), 1.0)),
                cell(one.pace, "number"),
                Cell(text="", spark=numbers(one.by_day)),
            ]
        )
    columns = [
        Column(key="objective", label="Objective"),
        Column(key="slice", label="Slice"),
        Column(key="status", label="Status"),
        Column(key="target", label="Target", numeric=True),
        Column(key="good", label="Good", numeric=True, help="share of good events in the window"),
        Column(key="left", label="Budget left", numeric=True, help="of the error budget"),
        Column(key="pace", label="Pace", numeric=True, help="above one it does not last"),
        Column(key="spark", label="Good, daily"),
    ]
    return Section(
        id="objectives",
        title="Objectives",
        lead=[
            "Over ",
            figure(PERIOD_DAYS, "count"),
            " rolling days. The pace is that of the last day: at ",
            figure(1, "count"),
            " the error budget is just used up.",
        ],
        blocks=[Table(id="objective-list", title="Error budgets", columns=columns, rows=rows)],
        traces=edition.links.calls(edition.last - timedelta(days=PERIOD_DAYS - 1), edition.last),
    )


def findings(edition: Edition) -> list[Finding]:
    found = []
    for one in held(edition):
        if one.status == "ok":
            continue
        slice_ = ", ".join(f"{key} {value}" for key, value in sorted(one.labels.items()))
        prose: Prose = ["Objective ", name(one.slo.name, 48)]
        if slice_:
            prose += [" of ", name(slice_, 80)]
        if one.status == "act":
            prose += [" is missed: "]
        else:
            prose += [" is at risk, ", figure(1 - one.spent, "share"), " of its budget left: "]
        prose += [
            figure(one.good, "ratio"),
            " good in ",
            figure(PERIOD_DAYS, "count"),
            " days, wanted ",
            figure(one.slo.objective, "ratio"),
            ".",
        ]
        evidence = [Link(text="evidence", href="#objectives")]
        if str(one.slo.runbook).startswith(("https://", "http://")):
            evidence.append(Link(text="runbook", href=clean(one.slo.runbook, 300)))
        found.append(
            Finding(
                status=one.status,
                topic="Objective",
                prose=prose,
                evidence=evidence,
                weight=min(one.spent, 100.0),
            )
        )
    return found
