"""From marts to findings: the rules of the configuration and the ones that need no writing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.metrics import METRICS, evaluate
from llmops_jobs.alerts.settings import AlertSettings, Rule
from llmops_jobs.store import Database


def findings(database: Database, settings: AlertSettings, project: str, day: date) -> list[Finding]:
    """What every rule says about one day. Raises ConfigError for an unknown metric."""
    found: list[Finding] = []
    for rule in settings.rules:
        found += _by_rule(database, rule, project, day)
    if settings.built_in:
        from llmops_jobs.alerts.built_in import built_in

        found += built_in(database, project, day)
    return found


def _by_rule(database: Database, rule: Rule, project: str, day: date) -> Iterator[Finding]:
    rows = evaluate(database, project, day, rule.metric, rule.by, dict(rule.where))
    for row in rows.to_dict("records"):
        if row["n"] < rule.minimum_n:
            continue
        labels = {**rule.where, **{name: str(row[name]) for name in rule.by}}
        above = rule.above is not None
        bound = rule.above if rule.above is not None else rule.below
        assert bound is not None  # the settings model requires one
        firing = row["low"] > bound if above else row["high"] < bound
        yield Finding(
            rule=rule.name,
            labels=labels,
            firing=bool(firing),
            severity=rule.severity,
            summary=_sentence(rule, labels, float(row["value"]), bound, int(row["n"])),
            value=float(row["value"]),
            threshold=bound,
            n=int(row["n"]),
            detail={"low": float(row["low"]), "high": float(row["high"])},
            owner=rule.owner,
            runbook=rule.runbook,
            channels=rule.channels,
            for_days=rule.for_days,
            clear_days=rule.clear_days,
        )


def _sentence(rule: Rule, labels: dict[str, str], value: float, bound: float, n: int) -> str:
    where = ", ".join(f"{name} {text or '(none)'}" for name, text in labels.items()) or "everything"
    side = "above" if rule.above is not None else "below"
    unit = METRICS[rule.metric].unit
    return (
        f"{rule.name}: {rule.metric} of {where} is {_show(value, unit)}, "
        f"{side} {_show(bound, unit)} (n={n:,})"
    )


def _show(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}"
    if unit == "usd":
        return f"${value:,.2f}"
    if unit == "s":
        return f"{value:.2f} s"
    return f"{value:,.0f}"
