"""What is read in the first ten seconds: the verdict, what to decide, and the tiles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from llmops_jobs.report.edition import Edition, change_of, compared_with, end_of_month
from llmops_jobs.report.model import (
    Decision,
    Figure,
    Finding,
    Link,
    Prose,
    Status,
    Tile,
    Verdict,
    figure,
    name,
    numbers,
)
from llmops_jobs.report.sections import faults, feedback, incidents, money, quality, trust, versions
from llmops_jobs.report.words import clean

# A metric of the days from first to last.
Between = Callable[[date, date], float | None]

_TOPICS = (incidents, money, versions, faults, trust)
_RANK: dict[Status, int] = {"act": 0, "watch": 1, "ok": 2, "none": 3}
_SHOWN = 6
_MATERIAL = 0.10


def verdict(edition: Edition) -> Verdict:
    if not edition.usage.covered(edition.first, edition.last):
        return Verdict(
            status="watch",
            headline=["No model call was recorded in this period."],
            findings=[],
            decisions=trust.decisions(edition),
        )
    found = [finding for topic in _TOPICS for finding in topic.findings(edition)]
    found += quality.drift(edition) + _changes(edition)
    found.sort(key=lambda finding: (_RANK[finding.status], -finding.weight))
    decisions: list[Decision] = []
    for topic in (versions, incidents, money, trust, quality):
        decisions += topic.decisions(edition)
    status: Status = found[0].status if found else "ok"
    return Verdict(
        status=status,
        headline=_headline(edition, status, found),
        numbers=_numbers(edition),
        findings=found[:_SHOWN],
        decisions=decisions[:_SHOWN],
    )


def _headline(edition: Edition, status: Status, found: list[Finding]) -> Prose:
    act = sum(finding.status == "act" for finding in found)
    watch = sum(finding.status == "watch" for finding in found)
    if status in ("ok", "none"):
        return [f"A normal {edition.period.kind}: nothing to act on."]
    prose: Prose = ["Action needed: " if act else "Worth a look: "]
    if act:
        prose += [figure(act, "count"), " to act on"]
    if watch:
        prose += [*([", "] if act else []), figure(watch, "count"), " to watch"]
    return [*prose, "."]


def _numbers(edition: Edition) -> Prose:
    first, last = edition.first, edition.last
    requests = edition.usage.total("requests", first, last)
    errors = edition.usage.total("errors", first, last)
    prose: Prose = [
        figure(edition.usage.usd(first, last), "usd"),
        " for ",
        figure(requests, "count"),
        " model calls",
    ]
    _, (p95,) = latency(edition, first, last, (0.95,))
    if p95 is not None:
        prose += [", p95 latency ", figure(p95, "seconds")]
    if requests:
        prose += [", ", figure(errors / requests, "ratio"), " failed"]
    metric = quality.headline(edition)
    if metric is not None:
        rate = quality.now(edition, metric)
        prose += [", ", figure(rate.estimate, "ratio"), " good (", name(metric, 40), ")"]
    return [*prose, "."]


def _changes(edition: Edition) -> list[Finding]:
    """Spend, latency and quality that moved more than they usually do."""
    found = []
    spend = edition.judge(edition.spend, relative=True)
    if spend.real and spend.change is not None and abs(spend.change) >= _MATERIAL:
        found.append(_spend_finding(edition, spend.now or 0, spend.before or 0, spend.change))
    slow = edition.judge(_p95(edition), relative=True)
    if slow.real and slow.change is not None and slow.change >= _MATERIAL:
        prose: Prose = [
            "The slowest in twenty traces took ",
            figure(slow.now, "seconds"),
            " or longer, ",
            figure(slow.change, "relative"),
            " against ",
            compared_with(edition.period.kind),
            ".",
        ]
        found.append(
            Finding(
                status="watch",
                topic="Latency",
                prose=prose,
                evidence=[Link(text="evidence", href="#latency")],
                weight=slow.change * 10,
            )
        )
    metric = quality.headline(edition)
    if metric is not None:
        good = edition.judge(quality.between(edition, metric), relative=False)
        if good.real and good.change is not None and good.change < 0:
            prose = [
                name(metric, 40),
                " fell to ",
                figure(good.now, "ratio"),
                ", ",
                figure(good.change, "points"),
                " against ",
                compared_with(edition.period.kind),
                ".",
            ]
            found.append(
                Finding(
                    status="watch",
                    topic="Quality",
                    prose=prose,
                    evidence=[Link(text="evidence", href="#quality")],
                    weight=-good.change * 100,
                )
            )
    return found


def _p95(edition: Edition) -> Between:
    return lambda first, last: latency(edition, first, last, (0.95,))[1][0]


def _spend_finding(edition: Edition, now: float, before: float, change: float) -> Finding:
    prose: Prose = [
        f"Spend {'rose' if change > 0 else 'fell'} ",
        figure(abs(change), "ratio"),
        " to ",
        figure(now, "usd"),
        " from ",
        figure(before, "usd"),
        " in ",
        compared_with(edition.period.kind),
        ".",
    ]
    rows = money.change_rows(edition, "week")
    if len(rows):
        main = rows.iloc[0]
        prose += [
            " Over seven days the largest cause is ",
            name(str(main["factor"]).replace("_", " "), 40),
            ": ",
            figure(main["effect_usd"], "usd_change"),
            ".",
        ]
    status: Status = "watch" if change > 0 else "none"
    return Finding(
        status=status,
        topic="Cost",
        prose=prose,
        evidence=[Link(text="evidence", href="#change")],
        weight=abs(now - before),
    )


def latency(
    edition: Edition, first: date, last: date, at: tuple[float, ...]
) -> tuple[int, list[float | None]]:
    """Quantiles of whole traces; those of model calls where no trace was measured."""
    for level in ("trace", "observation"):
        histogram = edition.marts.histogram(level, "latency", "feature")
        if histogram.values():
            return histogram.quantiles(None, first, last, at)
    return 0, [None] * len(at)


def tiles(edition: Edition) -> list[Tile]:
    made = [
        _spend(edition),
        _month_end(edition),
        _quality(edition),
        _feedback(edition),
        _latency(edition),
        _errors(edition),
        _unit_cost(edition),
        _requests(edition),
    ]
    return [tile for tile in made if tile is not None]


def _outside(edition: Edition) -> bool:
    rows = edition.marts.on("anomaly", edition.last)
    rows = rows[(rows["scope"] == "total") & (rows["metric"] == "cost_usd")]
    return edition.period.kind == "day" and len(rows) > 0


def _spend(edition: Edition) -> Tile:
    judged = edition.judge(edition.spend, relative=True)
    usd = edition.usage.usd(edition.first, edition.last)
    note: Prose = []
    if edition.window > 1:
        note = [figure(usd / edition.window, "usd"), " a day"]
    return Tile(
        id="spend",
        label="Spend",
        figure=figure(usd, "usd"),
        change=change_of(judged, "relative", good="down", outside=_outside(edition)),
        note=note,
        spark=numbers(edition.usage.usd_series(*edition.history)),
        href="#cost",
    )


def _month_end(edition: Edition) -> Tile | None:
    outlook = money.outlook_of(edition)
    budgets = edition.marts.on("budget_status", edition.last)
    if outlook is None and budgets.empty:
        return None
    pressed = budgets.sort_values("probability_over", ascending=False)
    worst = pressed.iloc[0] if len(pressed) else None
    status, word = ("none", "")
    note: Prose = []
    if worst is not None:
        status, word = money.BUDGET_STATUS.get(str(worst["status"]), ("none", ""))
        note = [
            name(worst["budget"], 32),
            " ",
            figure(worst["amount_usd"], "usd"),
            ", P(over) ",
            figure(worst["probability_over"], "share"),
        ]
    if outlook is None:
        # On its last day the month's end is what was spent.
        month = edition.last.replace(day=1), edition.last
        complete = edition.last == end_of_month(edition.last)
        shown: Figure = figure(edition.usage.usd(*month) if complete else None, "usd")
    else:
        shown = figure(outlook["p50"], "usd")
        if not note:
            note = [figure(outlook["p10"], "usd"), " to ", figure(outlook["p90"], "usd")]
    first, last = edition.last.replace(day=1), edition.last
    running, total = [], 0.0
    for usd in edition.usage.usd_series(first, last):
        total += usd or 0.0
        running.append(total)
    return Tile(
        id="month-end",
        label="Month-end forecast",
        figure=shown,
        status=status,
        status_text=word,
        note=note,
        spark=numbers(running),
        href="#month",
    )


def _quality(edition: Edition) -> Tile | None:
    metric = quality.headline(edition)
    if metric is None:
        return None
    rate = quality.now(edition, metric)
    judged = edition.judge(quality.between(edition, metric), relative=False)
    estimate = quality.between(edition, metric)
    spark = [estimate(day, day) for day in edition.history_days]
    return Tile(
        id="quality",
        label=f"Pass rate: {clean(metric, 28)}",
        figure=figure(rate.estimate, "ratio"),
        change=change_of(judged, "points", good="up"),
        note=[
            figure(rate.low, "ratio"),
            " to ",
            figure(rate.high, "ratio"),
            ", n = ",
            figure(rate.n, "count"),
        ],
        spark=numbers(spark),
        href="#quality",
    )


def _feedback(edition: Edition) -> Tile | None:
    known = feedback.users(edition)
    if known is None:
        return None
    score, rate = known
    votes = edition.marts.votes()

    def share(first: date, last: date) -> float | None:
        return votes.rate((score, "API"), first, last).estimate

    judged = edition.judge(share, relative=False)
    spark = [share(day, day) for day in edition.history_days]
    return Tile(
        id="feedback",
        label="Positive feedback",
        figure=figure(rate.estimate, "ratio"),
        change=change_of(judged, "points", good="up"),
        note=[
            figure(rate.low, "ratio"),
            " to ",
            figure(rate.high, "ratio"),
            ", n = ",
            figure(rate.n, "count"),
        ],
        spark=numbers(spark),
        href="#feedback",
    )


def _latency(edition: Edition) -> Tile | None:
    n, (p50, p95) = latency(edition, edition.first, edition.last, (0.5, 0.95))
    if not n:
        return None
    judged = edition.judge(_p95(edition), relative=True)
    p95_of = _p95(edition)
    spark = [p95_of(day, day) for day in edition.history_days]
    return Tile(
        id="latency",
        label="Latency p95",
        figure=figure(p95, "seconds"),
        change=change_of(judged, "relative", good="down"),
        note=["median ", figure(p50, "seconds"), ", n = ", figure(n, "count")],
        spark=numbers(spark),
        href="#latency",
    )


def _errors(edition: Edition) -> Tile:
    judged = faults.error_rate(edition)
    requests = edition.usage.total("requests", edition.first, edition.last)
    failed = edition.usage.total("errors", edition.first, edition.last)
    spark = [edition.ratio("errors", "requests", day, day) for day in edition.history_days]
    return Tile(
        id="errors",
        label="Error rate",
        figure=figure(failed / requests if requests else None, "ratio"),
        change=change_of(judged, "points", good="down"),
        note=[figure(failed, "count"), " failed calls"],
        spark=numbers(spark),
        href="#errors",
    )


def _unit_cost(edition: Edition) -> Tile | None:
    """Spend per thousand calls that succeeded."""

    def per_thousand(first: date, last: date) -> float | None:
        spend = edition.spend(first, last)
        calls, failed = (edition.usage.total(m, first, last) for m in ("requests", "errors"))
        return None if spend is None or calls <= failed else spend / (calls - failed) * 1000

    now = per_thousand(edition.first, edition.last)
    if now is None:
        return None
    judged = edition.judge(per_thousand, relative=True)
    spark = [per_thousand(day, day) for day in edition.history_days]
    outcome = _outcome_cost(edition)
    return Tile(
        id="unit-cost",
        label="Cost per 1,000 good calls",
        figure=figure(now, "usd"),
        change=change_of(judged, "relative", good="down"),
        note=outcome,
        spark=numbers(spark),
        href="#cost",
    )


def _outcome_cost(edition: Edition) -> Prose:
    rows = edition.marts.rows("unit_cost_daily", edition.first, edition.last)
    for unit in ("passed_evaluation", "positive_feedback", "session"):
        part = rows[(rows["scope"] == "total") & (rows["unit"] == unit) & (rows["n"] > 0)]
        if len(part):
            usd = float(part["cost_usd"].astype(float).sum() / part["n"].sum())
            return [figure(usd, "usd"), f" per {unit.replace('_', ' ')}"]
    return []


def _requests(edition: Edition) -> Tile:
    judged = edition.judge(lambda *days: edition.usage.whole("requests", *days), relative=True)
    tokens = sum(
        edition.usage.total(measure, edition.first, edition.last)
        for measure in ("input_tokens", "output_tokens")
    )
    return Tile(
        id="requests",
        label="Model calls",
        figure=figure(edition.usage.total("requests", edition.first, edition.last), "count"),
        change=change_of(judged, "relative"),
        note=[figure(tokens, "count"), " tokens"],
        spark=numbers(edition.usage.series("requests", *edition.history)),
        href="#cost",
    )
