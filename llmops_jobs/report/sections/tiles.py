"""The tiles: eight numbers, whether each change is real, and what is left of its error budget."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from llmops_jobs.report.daily import NANO
from llmops_jobs.report.edition import Edition, change_of, end_of_month
from llmops_jobs.report.links import any_of, at_least
from llmops_jobs.report.model import Figure, Prose, Status, Tile, figure, name, numbers
from llmops_jobs.report.rates import Rate
from llmops_jobs.report.sections import (
    budgets,
    change,
    cost,
    errors,
    feedback,
    objectives,
    outlook,
    quality,
    speed,
)
from llmops_jobs.report.words import clean


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


def _spend(edition: Edition) -> Tile:
    judged = edition.judge(edition.spends, relative=True)
    usd = edition.usage.usd(edition.first, edition.last)
    note: Prose = []
    if edition.window > 1:
        note = [figure(usd / edition.window, "usd"), " a day"]
    return Tile(
        id="spend",
        label="Spend",
        figure=figure(usd, "usd"),
        change=change_of(judged, "relative", good="down", outside=change.outside(edition)),
        note=note,
        spark=numbers(edition.usage.usd_series(*edition.history)),
        href="#cost",
        traces=edition.calls(),
    )


def _month_end(edition: Edition) -> Tile | None:
    month = outlook.month_end(edition)
    held = budgets.held(edition)
    if month is None and not held:
        return None
    start = edition.last.replace(day=1)
    if month is None:
        # On its last day the month's end is what was spent.
        complete = edition.last == end_of_month(edition.last)
        usd = edition.usage.usd(start, edition.last) if complete else None
        shown: Figure = figure(usd, "usd")
    else:
        shown = figure(month.p50, "usd")
    status, word = _worst(edition)
    running = accumulate(usd or 0.0 for usd in edition.usage.usd_series(start, edition.last))
    return Tile(
        id="month-end",
        label="Month-end forecast",
        figure=shown,
        status=status,
        status_text=word,
        note=_month_note(edition, month),
        spark=numbers(running),
        href="#month",
        traces=edition.links.calls(start, edition.last),
    )


def _worst(edition: Edition) -> tuple[Status, str]:
    """The status of the most pressed budget, or that all are on track."""
    held = budgets.held(edition)
    for asked in ("over", "at_risk", "ok"):
        if any(row.status == asked for row in held):
            return budgets.STATUS[asked]
    return ("none", "")


def _month_note(edition: Edition, month: Any | None) -> Prose:
    note: Prose = []
    budget = budgets.of_month(edition)
    if budget is not None:
        note = [
            "budget ",
            figure(budget.amount_usd, "usd"),
            ", P(over) ",
            figure(budget.probability_over, "share"),
        ]
    elif month is not None:
        note = [figure(month.p10, "usd"), " to ", figure(month.p90, "usd")]
    pressed = [row for row in budgets.pressed(edition) if budget is None or row != budget]
    if pressed:
        worst = pressed[0]
        note += [
            *([" · "] if note else []),
            name(worst.budget, 24),
            ": P(over) ",
            figure(worst.probability_over, "share"),
        ]
    return note


def _interval(rate: Rate) -> Prose:
    return [
        figure(rate.low, "ratio"),
        " to ",
        figure(rate.high, "ratio"),
        ", n = ",
        figure(rate.n, "count"),
    ]


def _quality(edition: Edition) -> Tile | None:
    metric = quality.headline(edition)
    if metric is None:
        return None
    rate = quality.now(edition, metric)
    estimate = quality.between(edition, metric)
    judged = edition.judge(edition.by_shift(estimate), relative=False)
    status, word, left = objectives.of(edition, "pass_rate")
    return Tile(
        id="quality",
        label=f"Pass rate: {clean(metric, 28)}",
        figure=figure(rate.estimate, "ratio"),
        status=status,
        status_text=word,
        change=change_of(judged, "points", good="up"),
        note=[*_interval(rate), *left],
        spark=numbers(estimate(day, day) for day in edition.history_days),
        href="#quality",
        traces=edition.traces(),
    )


def _feedback(edition: Edition) -> Tile | None:
    known = feedback.users(edition)
    if known is None:
        return None
    score, rate = known
    votes = edition.marts.votes
    judged = edition.judge(
        edition.by_shift(lambda first, last: votes.rate((score, "API"), first, last).estimate),
        relative=False,
    )
    spark = [votes.rate((score, "API"), day, day).estimate for day in edition.history_days]
    status, word, left = objectives.of(edition, "positive_rate")
    return Tile(
        id="feedback",
        label="Positive feedback",
        figure=figure(rate.estimate, "ratio"),
        status=status,
        status_text=word,
        change=change_of(judged, "points", good="up"),
        note=[*_interval(rate), *left],
        spark=numbers(spark),
        href="#feedback",
        traces=edition.links.scores(edition.first, edition.last, any_of("name", score)),
    )


def _latency(edition: Edition) -> Tile | None:
    n, (p50, p95) = speed.latency(edition, edition.first, edition.last, (0.5, 0.95))
    if not n:
        return None
    judged = edition.judge(speed.p95s(edition), relative=True)
    spark = [speed.latency(edition, day, day, (0.95,))[1][0] for day in edition.history_days]
    status, word, left = objectives.of(edition, "latency", "time_to_first_token")
    return Tile(
        id="latency",
        label="Latency p95",
        figure=figure(p95, "seconds"),
        status=status,
        status_text=word,
        change=change_of(judged, "relative", good="down"),
        note=["median ", figure(p50, "seconds"), ", n = ", figure(n, "count"), *left],
        spark=numbers(spark),
        href="#latency",
        traces=edition.traces(at_least("latency", p95 or 0.0)),
    )


def _errors(edition: Edition) -> Tile:
    judged = errors.rate(edition)
    requests = edition.usage.total("requests", edition.first, edition.last)
    failed = edition.usage.total("errors", edition.first, edition.last)
    spark = [edition.ratio("errors", "requests", day, day) for day in edition.history_days]
    status, word, left = objectives.of(edition, "error_rate", "rate_limited_share")
    return Tile(
        id="errors",
        label="Error rate",
        figure=figure(failed / requests if requests else None, "ratio"),
        status=status,
        status_text=word,
        change=change_of(judged, "points", good="down"),
        note=[figure(failed, "count"), " failed calls", *left],
        spark=numbers(spark),
        href="#errors",
        traces=errors.failed_calls(edition),
    )


def _unit_cost(edition: Edition) -> Tile | None:
    """Spend per thousand calls that succeeded."""
    calls, failed, cost_ = (
        edition.usage.windows(name, edition.first, edition.last)
        for name in ("requests", "errors", "cost")
    )
    good = calls - failed
    each = np.divide(cost_ / NANO * 1000, good, out=np.full(len(good), np.nan), where=good > 0)
    if np.isnan(each[0]):
        return None
    first, last = edition.history
    daily = zip(
        edition.usage.usd_series(first, last),
        edition.usage.series("requests", first, last),
        edition.usage.series("errors", first, last),
        strict=True,
    )
    spark = [
        usd / (n - bad) * 1000 if usd is not None and n is not None and n > (bad or 0) else None
        for usd, n, bad in ((u, n, b or 0) for u, n, b in daily)
    ]
    return Tile(
        id="unit-cost",
        label="Cost per 1,000 good calls",
        figure=figure(float(each[0]), "usd"),
        change=change_of(edition.judge(each, relative=True), "relative", good="down"),
        note=_outcome(edition),
        spark=numbers(spark),
        href="#cost",
        traces=edition.calls(),
    )


def _outcome(edition: Edition) -> Prose:
    for unit in ("passed_evaluation", "positive_feedback", "session"):
        rows = [row for row in cost.of_unit(edition, unit) if row.n]
        if rows:
            usd = sum(row.cost_usd or 0.0 for row in rows) / sum(row.n for row in rows)
            return [figure(usd, "usd"), f" per {unit.replace('_', ' ')}"]
    return []


def _requests(edition: Edition) -> Tile:
    calls = edition.usage.windows("requests", edition.first, edition.last)
    tokens = sum(
        edition.usage.total(measure, edition.first, edition.last)
        for measure in ("input_tokens", "output_tokens")
    )
    return Tile(
        id="requests",
        label="Model calls",
        figure=figure(edition.usage.total("requests", edition.first, edition.last), "count"),
        change=change_of(edition.judge(calls, relative=True), "relative"),
        note=[figure(tokens, "count"), " tokens"],
        spark=numbers(edition.usage.series("requests", *edition.history)),
        href="#cost",
        traces=edition.calls(),
    )
