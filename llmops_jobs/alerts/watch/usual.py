"""What today's rows are held against: the days before, from the marts; made once a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.alerts.defaults import RULES
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.alerts.rules import NUMBERS, bounds_of
from llmops_jobs.alerts.settings import AlertSettings, Rule

if TYPE_CHECKING:
    from llmops_jobs.store import Database

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bound:
    """Where a rule fires, where it still holds, and the usual value (None for a fixed bound)."""

    fires: float
    holds: float
    usual: float | None


@dataclass(frozen=True)
class Usual:
    """Bounds by rule and slice."""

    bounds: dict[str, dict[Labels, Bound]]

    def bound(self, rule: Rule, labels: Labels) -> Bound | None:
        fixed = rule.above if rule.above is not None else rule.below
        if fixed is not None:
            return Bound(fixed, fixed, None)
        return self.bounds.get(rule.name, {}).get(labels)


def rules_of(settings: AlertSettings) -> list[Rule]:
    """The rules that are looked at through the day."""
    wanted = list(settings.rules)
    if settings.built_in:
        wanted += [rule for rule in RULES if rule.name not in settings.disable]
    return [rule for rule in wanted if rule.fast]


def usual_of(database: Database, project: str, rules: Sequence[Rule], today: date) -> Usual:
    """From the marts of the days before `today`."""
    yesterday = today - timedelta(days=1)
    marts = Marts(database, project, yesterday, yesterday)
    return Usual({rule.name: _bounds(marts, rule, today) for rule in rules})


def _bounds(marts: Marts, rule: Rule, today: date) -> dict[Labels, Bound]:
    rows = METRICS[rule.metric].series(marts, rule.by, rule.where, None)
    if rows.empty:
        return {}
    first = today - timedelta(days=rule.baseline_days)
    rows = rows[(rows["day"] >= first) & (rows["n"] >= rule.minimum_n)]
    names = [name for name in rows.columns if name not in NUMBERS]
    found = {}
    for key, part in rows.groupby(names, sort=True) if names else [((), rows)]:
        bounds = bounds_of(rule, part["value"].tolist(), None)
        if bounds is not None:
            labels = {**rule.where, **dict(zip(names, map(str, key), strict=True))}
            found[tuple(sorted(labels.items()))] = Bound(*bounds)
    return found
