"""Rules to findings, for all days of a run at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.alerts.settings import Rule
from llmops_jobs.dimensions import DIMENSIONS, NONE_LABEL

if TYPE_CHECKING:
    import pandas as pd

_LEAST_HISTORY = 5  # days with enough observations before a median means anything
_LEAST_OF_MEANS = 10  # and of values without an interval, which only their days' spread judges
_SPREADS = 5.0  # robust standard deviations of the days before that are still usual
CHANCE = 1e-6  # about as unlikely: some hundred slices are looked at every night for years
_ROW = ("value", "n", "low", "high")
NUMBERS = {"day", *_ROW, "lowest", "highest", "bad", "top", "bottom"}


def evaluate(marts: Marts, rule: Rule) -> Iterator[tuple[date, Finding]]:
    """(day, finding) for every slice and every day of the run with enough observations."""
    rows = METRICS[rule.metric].series(marts, rule.by, rule.where, None)
    if rows.empty:
        return
    names = [name for name in rows.columns if name not in NUMBERS]
    groups = rows.groupby(names, sort=True) if names else [((), rows)]
    for key, part in groups:
        labels = {**rule.where, **dict(zip(names, map(str, key), strict=True))}
        yield from _slice(marts, rule, labels, part)


def _slice(
    marts: Marts, rule: Rule, labels: dict[str, str], part: pd.DataFrame
) -> Iterator[tuple[date, Finding]]:
    names = [name for name in (*_ROW, "lowest", "highest") if name in part]
    columns = (part[name].tolist() for name in ("day", *names))
    days = {day: dict(zip(names, row, strict=True)) for day, *row in zip(*columns, strict=True)}
    enough = {day: row["value"] for day, row in days.items() if row["n"] >= rule.minimum_n}
    for day in days_of(marts):
        before = [
            enough[past]
            for past in (day - timedelta(days=ago) for ago in range(1, rule.baseline_days + 1))
            if past in enough
        ]
        row = days.get(day)
        if row is None or row["n"] < rule.minimum_n:
            if rule.no_data == "alert" and len(before) >= _LEAST_HISTORY:
                yield day, _no_data(rule, labels, int(row["n"]) if row else 0)
            elif rule.no_data == "clear":
                yield day, finding_of(rule, labels, False, False, "no data", None, None, 0, {})
            continue
        bounds = bounds_of(rule, before, row["n"])
        if bounds is None:
            continue
        fires, holds, usual = bounds
        value, sign = row["value"], 1 if rule.upwards else -1
        edge = row["low"] if rule.upwards else row["high"]
        # Against a bound the interval decides; against the usual level the value must be far from
        # it (the bound holds the days' own spread) and the interval must exclude it.
        firing = sign * value > sign * fires and sign * edge > sign * (
            fires if usual is None else usual
        )
        if firing and usual is not None:
            if METRICS[rule.metric].unit == "share":
                firing = _beyond_chance(rule.upwards, value, usual, row["n"])
            elif "lowest" in row:
                firing = sign * row["lowest" if rule.upwards else "highest"] > sign * usual
        yield (
            day,
            finding_of(
                rule,
                labels,
                bool(firing),
                bool(sign * value > sign * holds),
                _sentence(rule, labels, value, fires, usual, int(row["n"])),
                float(value),
                float(fires),
                int(row["n"]),
                {"low": float(row["low"]), "high": float(row["high"]), "usual": usual},
            ),
        )


def bounds_of(
    rule: Rule, before: list[float], n: float | None
) -> tuple[float, float, float | None] | None:
    """Where it fires, where an open incident holds, and the median of the days before; None with
    too few of them. With `n`, the chance of so many observations widens a share's usual range."""
    fixed = rule.above if rule.above is not None else rule.below
    if fixed is not None:
        return fixed, fixed, None
    alone = METRICS[rule.metric].unit not in ("share", "s")
    if len(before) < (_LEAST_OF_MEANS if alone else _LEAST_HISTORY):
        return None
    usual = median(before)
    spread = 1.4826 * median(abs(value - usual) for value in before)
    step = rule.rises_by or rule.falls_by or 0.0
    if METRICS[rule.metric].unit != "share":
        step *= abs(usual)
    elif n is not None:
        share = (usual * n + 1) / (n + 2)  # a level of exactly 0 or 1 would leave no chance
        spread = max(spread, math.sqrt(share * (1 - share) / n))
    sign = 1 if rule.upwards else -1
    return usual + sign * max(step, _SPREADS * spread), usual + sign * step / 2, usual


def _beyond_chance(upwards: bool, value: float, usual: float, n: float) -> bool:
    """Whether so many of n were unlikely at the usual share: exact where few make the normal
    distribution's five standard deviations too narrow."""
    from scipy.stats import binom

    share, hits = (usual, value * n) if upwards else (1 - usual, (1 - value) * n)
    smoothed = (share * n + 1) / (n + 2)
    return bool(binom.sf(math.ceil(round(hits, 6)) - 1, math.ceil(n), smoothed) < CHANCE)


def days_of(marts: Marts) -> list[date]:
    return [marts.first + timedelta(days=i) for i in range((marts.last - marts.first).days + 1)]


def _no_data(rule: Rule, labels: dict[str, str], n: int) -> Finding:
    text = f"{where_in_words(labels)}: no data for {METRICS[rule.metric].says} (n={n:,})"
    return finding_of(rule, labels, True, True, text, None, None, n, {"no_data": True})


def finding_of(
    rule: Rule,
    labels: dict[str, str],
    firing: bool,
    holding: bool,
    summary: str,
    value: float | None,
    threshold: float | None,
    n: int,
    detail: dict[str, Any],
) -> Finding:
    return Finding(
        rule=rule.name,
        labels=labels,
        firing=firing,
        holding=holding,
        severity=rule.severity,
        summary=summary,
        topic=METRICS[rule.metric].topic,
        value=value,
        threshold=threshold,
        n=n,
        detail={"metric": rule.metric, **detail},
        owner=rule.owner,
        runbook=rule.runbook,
        channels=rule.channels,
        for_days=rule.for_days,
        clear_days=rule.clear_days,
        cooldown_days=rule.cooldown_days,
    )


def _sentence(
    rule: Rule, labels: dict[str, str], value: float, bound: float, usual: float | None, n: int
) -> str:
    metric = METRICS[rule.metric]
    side = "above" if rule.upwards else "below"
    against = (
        f"{side} {show(bound, metric.unit)}"
        if usual is None
        else f"usually {show(usual, metric.unit)}"
    )
    return (
        f"{where_in_words(labels)}: {metric.says} {show(value, metric.unit)}, {against} (n={n:,})"
    )


def where_in_words(labels: dict[str, str]) -> str:
    """The slice in words; the other labels say what is measured."""
    slices = [f"{n} {v or NONE_LABEL}" for n, v in labels.items() if n in DIMENSIONS]
    others = [v for n, v in labels.items() if n not in DIMENSIONS]
    return ", ".join([*slices, *others]) or "everything"


def show(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}"
    if unit == "usd":
        return f"${value:,.2f}" if abs(value) >= 1 else f"${value:.4g}"
    if unit == "s":
        return f"{value:.2f} s"
    return f"{value:.2f}" if unit == "times" else f"{value:,.0f}"
