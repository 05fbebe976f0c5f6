"""What is new and never clears by itself: kinds of error, models, levels.

It fires on the day on which it can first be told, holds its incident for some days, and then is
known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts

_NEWS_DAYS = 3
_HISTORY_DAYS = 7  # before so many days of history everything is new
_FAMILY_ERRORS = 5
_HOME = 0.9  # a kind of error is a feature's when so many of it are there
_SWAP_SHARE = 0.02
_NEW_LEVEL = 0.3  # of a change point, relative to the level before
_NEW_LEVEL_POINTS = 0.08
# Metrics of change points -> kind of trouble and the direction that is worse; others are no trouble
# by themselves. Shares move by points, all else relative to the level before.
_WORSE = {
    "cost_per_request": ("spend", 1),
    "input_tokens_per_request": ("tokens", 1),
    "output_tokens_per_request": ("tokens", 1),
    "latency_p50": ("speed", 1),
    "latency_p95": ("speed", 1),
    "time_to_first_token_p50": ("speed", 1),
    "time_to_first_token_p95": ("speed", 1),
    "error_rate": ("errors", 1),
    "positive_rate": ("feedback", -1),
    "pass_rate": ("quality", -1),
}
_SHARES = ("error_rate", "positive_rate", "pass_rate")
# Where kinds of error are counted, and of what a slice's mass is then: tools are no model calls.
_COUNTED_IN = {"error_daily": "error_rate", "tool_daily": "requests"}


def error_families(marts: Marts, day: date) -> Iterator[Finding]:
    for table in _COUNTED_IN:
        yield from _families(marts, day, table)


def _families(marts: Marts, day: date, table: str) -> Iterator[Finding]:
    from llmops_jobs.store.tables import TABLES

    c = TABLES[table].c
    seen = marts.sums(table, {"n": c.errors}, ["family_id"], [c.family_id != ""])
    counts: list[Mapping[str, int]] = [
        {row["family_id"]: int(row["n"]) for row in marts.by_day(seen, day - timedelta(days=age))}
        for age in range(_NEWS_DAYS)
    ]
    started = marts.started(table)
    for age in range(_NEWS_DAYS):
        first = day - timedelta(days=age)
        if started is None or (first - started).days < _HISTORY_DAYS:
            continue
        for row in marts.rows("error_family", first, "first_seen"):
            n, *before = (seen_on.get(row["family_id"], 0) for seen_on in counts)
            if n < _FAMILY_ERRORS:
                continue
            told = any(count >= _FAMILY_ERRORS for count in before)
            yield Finding(
                rule="new-error-family",
                topic="errors",
                labels={"family": row["family_id"]},
                firing=not told,
                holding=True,
                novel=True,
                severity="warning",
                summary=f"A kind of error never seen before: {row['error_type']}, "
                f"{str(row['template'])[:160]} ({n:,} on {day})",
                onset=first,
                value=float(n),
                n=n,
                detail={"metric": _COUNTED_IN[table], "trace_id": row["example_trace_id"]}
                | {"family_id": row["family_id"]}
                | {"scope": _home(marts, table, row["family_id"], day)},
            )


def _home(marts: Marts, table: str, family: str, day: date) -> str:
    """The feature in which a kind of error is seen, as a scope; total when in several."""
    from llmops_jobs.store.tables import TABLES

    c = TABLES[table].c
    seen = marts.sums(table, {"n": c.errors}, ["family_id", "feature"], [c.family_id != ""])
    counts = {
        row["feature"]: row["n"] for row in marts.by_day(seen, day) if row["family_id"] == family
    }
    feature = max(counts, key=lambda name: counts[name])
    return f"feature={feature}" if counts[feature] >= _HOME * sum(counts.values()) else "total"


def swaps(marts: Marts, day: date) -> Iterator[Finding]:
    """An alias that is answered by another model than before."""
    started = marts.started("version_seen")
    if started is None:
        return
    calls, answers = _answers(marts, day)
    for (asked, model), n in answers.items():
        first = marts.first_answer(asked, model)
        known = marts.first_answer(asked)
        if first is None or known is None or (first - known).days < _HISTORY_DAYS:
            continue
        if not 0 <= (day - first).days < _NEWS_DAYS or n < _SWAP_SHARE * calls[asked]:
            continue
        told = False
        for age in range(1, (day - first).days + 1):
            past, given = _answers(marts, day - timedelta(days=age))
            told |= given.get((asked, model), 0) >= _SWAP_SHARE * past.get(asked, 0) > 0
        yield Finding(
            rule="model-swap",
            topic="versions",
            labels={"model": model, "asked": asked},
            firing=not told,
            holding=True,
            severity="warning",
            summary=f"{asked} is answered by {model} ({n / calls[asked]:.0%} of its "
            f"{int(calls[asked]):,} calls), which it was not before",
            onset=first,
            value=n / calls[asked],
            n=int(n),
            detail={"metric": "requests"},
        )


def _answers(marts: Marts, day: date) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Calls by the model asked for, and by it and another that answered."""
    calls: dict[str, float] = {}
    answers: dict[tuple[str, str], float] = {}
    for row in marts.rows("version_seen", day):
        asked, model = row["request_model"], row["model"]
        calls[asked] = calls.get(asked, 0) + row["requests"]
        if asked and model and asked != model:
            answers[asked, model] = answers.get((asked, model), 0) + row["requests"]
    return calls, answers


def change_points(marts: Marts, day: date) -> Iterator[Finding]:
    for age in range(_NEWS_DAYS):
        for row in marts.rows("change_point", day - timedelta(days=age), "detected_on"):
            metric = str(row["metric"]).partition(":")[0]
            effect = float(row["effect"] or 0)
            relative = metric not in _SHARES
            topic, worse = _WORSE.get(metric, ("", 0))
            large = abs(effect) >= (_NEW_LEVEL if relative else _NEW_LEVEL_POINTS)
            name = str(row["scope"]).partition("=")[0]
            # Of single tenants and models there are many, and small: the report lists those.
            if worse * effect <= 0 or not large or name in ("tenant", "model"):
                continue
            size = f"{effect:+.0%}" if relative else f"{effect:+.3f}"
            yield Finding(
                rule="change-point",
                topic=topic,
                labels={"scope": row["scope"], "metric": row["metric"]},
                firing=age == 0,
                holding=True,
                severity="warning",
                summary=f"{row['metric']} of {row['scope']} has a new level since {row['day']}: "
                f"{size}" + (f"; {row['cause']}" if row["cause"] else ""),
                onset=row["day"],
                value=float(row["value"]),
                threshold=float(row["expected"]),
                detail={"metric": metric, "cause": row["cause"], "effect": effect},
            )
