"""One look at the last minutes and hours: rules and objectives to findings. Pure.

A share (failed calls; calls slower than the bound of a percentile) fires when so many in a window
of a quarter of an hour, an hour or six hours would be chance once in a hundred thousand looks at
the bound, and a shorter window says that it goes on. That is stricter than one day's interval,
because there are some hundred looks a day. Spend fires when today has cost more than the bound of a
whole day, or the last hour more than a usual day. Objectives burn by Google's two paging rows
(`slo.WINDOWS`), in steps of five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmops_jobs.alerts import slo
from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.alerts.rules import finding_of, show, where_in_words
from llmops_jobs.alerts.settings import Rule, Slo
from llmops_jobs.alerts.watch.rows import Rows
from llmops_jobs.alerts.watch.usual import Bound, Usual

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

QUARTER, HOUR, SIX_HOURS = timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6)
#: (long, short): what happened in the long window still happens in the short one.
WINDOWS = ((QUARTER, QUARTER), (HOUR, QUARTER), (SIX_HOURS, HOUR))
CHANCE, STILL = 1e-5, 0.01
_STEP = 300  # seconds, of objectives


def look(
    rows: Rows, rules: Sequence[Rule], slos: Sequence[Slo], usual: Usual, now: datetime
) -> list[Finding]:
    """What rules and objectives say of the rows at `now`.

    A slice without calls since midnight, and one without a usual level, says nothing.
    """
    found: list[Finding] = []
    for rule in rules:
        for labels, part in _slices(rows.calls, rule.by, rule.where):
            bound = usual.bound(rule, tuple(sorted(labels.items())))
            if bound is not None:
                found.append(_LOOKS[METRICS[rule.metric].live](rule, labels, part, bound, now))
    for objective in slos:
        live = METRICS[objective.metric].live
        frame = rows.traces if live == "latency_s of traces" else rows.calls
        for labels, part in _slices(frame, objective.by, objective.where) if live else ():
            found.append(_burn(objective, labels, part, now))
    return found


def _slices(
    frame: pd.DataFrame, by: Sequence[str], where: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    if not {*by, *where} <= set(frame.columns):
        return
    for name, value in where.items():
        frame = frame[frame[name] == value]
    for key, part in frame.groupby(list(by), sort=True) if by else [((), frame)]:
        if len(part):
            yield {**where, **dict(zip(by, map(str, key), strict=True))}, part


def ages_of(part: pd.DataFrame, now: datetime) -> np.ndarray:
    """Seconds before `now` at which the rows began."""
    import pandas as pd

    return (pd.Timestamp(now) - part["at"]).dt.total_seconds().to_numpy()


def _errors(
    rule: Rule, labels: dict[str, str], part: pd.DataFrame, bound: Bound, now: datetime
) -> Finding:
    ages, bad = ages_of(part, now), part["failed"].to_numpy()
    window, n, hits, firing = _beyond(ages, bad, bound.fires)
    hour = ages <= HOUR.total_seconds()
    said = f"{hits / n if n else 0:.1%} in the last {_words(window)}"
    recent = part[bad & (ages <= window.total_seconds())]
    # An hour without calls says nothing of the trouble's end.
    holding = not hour.any() or bad[hour].mean() > bound.holds
    value = hits / n if n else 0.0
    return _told(rule, labels, firing, holding, value, bound, n, said + _mostly(recent), now)


def _percentile(
    rule: Rule, labels: dict[str, str], part: pd.DataFrame, bound: Bound, now: datetime
) -> Finding:
    import numpy as np

    column = "time_to_first_token_s" if rule.metric.startswith("time") else "latency_s"
    part = part[part[column].notna()]
    ages, values = ages_of(part, now), part[column].to_numpy()
    q = float(rule.metric.rpartition("_p")[2]) / 100
    window, n, _, firing = _beyond(ages, values > bound.fires, 1 - q)
    inside, hour = ages <= window.total_seconds(), ages <= HOUR.total_seconds()
    value = float(np.quantile(values[inside], q)) if n else 0.0
    holding = not hour.any() or float(np.quantile(values[hour], q)) > bound.holds
    said = f"{show(value, 's')} in the last {_words(window)}"
    return _told(rule, labels, firing, holding, value, bound, n, said, now)


def _spend(
    rule: Rule, labels: dict[str, str], part: pd.DataFrame, bound: Bound, now: datetime
) -> Finding:
    today = part[part["at"] >= now.replace(hour=0, minute=0, second=0, microsecond=0)]
    hour = part[ages_of(part, now) <= HOUR.total_seconds()]
    value, n = float(today["cost_usd"].sum()), len(today)
    said = f"{show(value, 'usd')} so far today"
    over = value > bound.fires and n >= rule.minimum_n
    burst = bound.usual is not None and float(hour["cost_usd"].sum()) > bound.usual > 0
    if not over and burst and len(hour) >= rule.minimum_n:
        over, value, n = True, float(hour["cost_usd"].sum()), len(hour)
        said = f"{show(value, 'usd')} in the last hour"
    # Open for the rest of the day: what was spent in a burst is not given back.
    holding = float(today["cost_usd"].sum()) > (bound.holds if bound.usual is None else bound.usual)
    return _told(rule, labels, over, holding, value, bound, n, said, now)


_LOOKS = {"failed": _errors, "percentile": _percentile, "cost_usd": _spend}


def _beyond(ages: np.ndarray, bad: np.ndarray, bound: float) -> tuple[timedelta, int, int, bool]:
    """(window, n, bad, fires): the shortest window in which so many would be chance less than once
    in 1 / CHANCE looks, else the hour."""
    from scipy.stats import binom

    def counted(window: timedelta) -> tuple[int, int]:
        inside = ages <= window.total_seconds()
        return int(inside.sum()), int(bad[inside].sum())

    def unlikely(window: timedelta, chance: float) -> bool:
        n, hits = counted(window)
        return bool(n and hits / n > bound and binom.sf(hits - 1, n, bound) < chance)

    for long, short in WINDOWS:
        if unlikely(long, CHANCE) and unlikely(short, STILL):
            return long, *counted(long), True
    return HOUR, *counted(HOUR), False


def _burn(objective: Slo, labels: dict[str, str], part: pd.DataFrame, now: datetime) -> Finding:
    import numpy as np

    metric = METRICS[objective.metric]
    if metric.live == "failed":
        bad = part["failed"].to_numpy()
    else:
        column = metric.live.partition(" ")[0]
        part = part[part[column].notna()]
        bad = part[column].to_numpy() > (objective.within or 0.0)
    ages = ages_of(part, now)
    steps = round(SIX_HOURS.total_seconds() / _STEP)
    step = (ages // _STEP).astype(int)
    known = step < steps
    total = np.bincount(step[known], minlength=steps)[::-1]
    wrong = np.bincount(step[known & bad], minlength=steps)[::-1]
    burn = slo.burning(
        wrong, total, width=_STEP, objective=objective.objective, windows=slo.WINDOWS[:2]
    )
    hour = ages <= HOUR.total_seconds()
    share = float(bad[hour].mean()) if hour.any() else 0.0
    budget = 1 - objective.objective
    window = _words(timedelta(seconds=burn.window.long)) if burn else "hour"
    rate = burn.rate if burn else share / budget
    return Finding(
        rule=objective.name,
        labels=labels,
        firing=burn is not None,
        holding=not hour.any() or share > budget,
        severity="critical",
        summary=f"{where_in_words(labels)}: objective {objective.objective:.5g} for {metric.says} "
        f"burns {rate:.1f} times as fast as its budget in the last {window}",
        topic=metric.topic,
        value=float(rate),
        threshold=float(burn.window.factor) if burn else slo.WINDOWS[0].factor,
        n=burn.n if burn else int(hour.sum()),
        detail={"metric": objective.metric, "objective": objective.objective} | _mark(now),
        owner=objective.owner,
        runbook=objective.runbook,
        channels=objective.channels,
        cooldown_days=objective.cooldown_days,
    )


def _told(
    rule: Rule,
    labels: dict[str, str],
    firing: bool,
    holding: bool,
    value: float,
    bound: Bound,
    n: int,
    said: str,
    now: datetime,
) -> Finding:
    metric = METRICS[rule.metric]
    against = (
        f"above {show(bound.fires, metric.unit)}"
        if bound.usual is None
        else f"usually {show(bound.usual, metric.unit)}"
        + (" a day" if metric.live == "cost_usd" else "")
    )
    return finding_of(
        rule,
        labels,
        bool(firing),
        bool(holding),
        f"{where_in_words(labels)}: {metric.says} {said}, {against} (n={n:,})",
        value,
        bound.fires,
        n,
        {"usual": bound.usual} | _mark(now),
    )


def _mark(now: datetime) -> dict[str, Any]:
    """What tells an incident of the watch from one of a night."""
    return {"watched_at": now.isoformat(timespec="seconds")}


def _mostly(failed: pd.DataFrame) -> str:
    """The kind of most failures, where one kind is most of them."""
    from collections import Counter

    from llmops_jobs.signals.taxonomy import error_type

    kinds = Counter(error_type(text) for text in failed["status_message"].tolist())
    kind, n = kinds.most_common(1)[0] if kinds else ("", 0)
    return f", mostly {kind.replace('_', ' ')}" if kind and n > 0.5 * len(failed) else ""


def _words(window: timedelta) -> str:
    minutes = round(window.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} minutes"
    return "hour" if minutes == 60 else f"{minutes // 60} hours"
