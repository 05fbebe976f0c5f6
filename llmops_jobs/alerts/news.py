"""Built-in rules that read what other parts of the night have found.

The statistics are theirs; here is only what of it is worth telling, and for how long: what never
clears by itself (a lasting change, a new model) is news for some days and then known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from llmops_jobs.alerts import drifts, novelty
from llmops_jobs.alerts.findings import Finding, Night
from llmops_jobs.alerts.marts import Marts

# A model whose unpriced calls are a smaller share than this of the day's is no incident.
_UNPRICED_SHARE = 0.001
_LIKELY_OVER = 0.8  # a forecast near one half goes to and fro
_SPIKE = 1.0  # an anomaly this far from its expectation, relative to it
_SPIKE_P = 1e-3
_IN_TURN = "one after the other"  # in a comparison's caveat


def tell(marts: Marts, night: Night, disabled: frozenset[str]) -> None:
    """Adds a day's news to the night. A rule whose mart has no day has not looked."""
    for name, (rule, table) in _RULES.items():
        if name in disabled:
            continue
        if table and not marts.rows(table, night.day):
            continue
        night.content.add(name)
        night.findings += rule(marts, night.day)


def _unpriced(marts: Marts, day: date) -> Iterator[Finding]:
    from llmops_jobs.store.tables import TABLES

    c = TABLES["usage_daily"].c
    usage = marts.by_day(
        marts.sums(
            "usage_daily",
            {"n": c.requests, "tokens": c.input_tokens + c.output_tokens},
            ["model", "price_status"],
        ),
        day,
    )
    calls = sum(row["n"] for row in usage)
    for row in usage:
        n = int(row["n"])
        if row["price_status"] != "unpriced" or n <= _UNPRICED_SHARE * calls:
            continue
        yield Finding(
            rule="unpriced-model",
            topic="prices",
            labels={"model": row["model"]},
            firing=True,
            severity="warning",
            summary=f"{n:,} calls of model {row['model'] or '(none)'} have no price: "
            f"{int(row['tokens']):,} tokens are not in the spend",
            value=float(n),
            threshold=_UNPRICED_SHARE * calls,
            n=n,
            detail={"metric": "unpriced_share"},
        )


def _budgets(marts: Marts, day: date) -> Iterator[Finding]:
    for row in marts.rows("budget_status", day):
        probability = float(row["probability_over"] or 0)
        over = row["status"] == "over"
        risk = row["status"] == "at_risk" and probability >= _LIKELY_OVER
        ended = row["period_end"] is not None and row["period_end"] <= day
        # What overran a budget of a day is that day's spend: the same trouble. A longer one has
        # causes of many days, and its own owner.
        daily = row["period_end"] == row["period_start"] + timedelta(days=1)
        yield Finding(
            rule="budget",
            topic="spend" if daily else "budget",
            labels={"budget": row["budget"]}
            | ({} if daily else {"period": str(row["period_start"])}),
            firing=(over or risk) and not ended,
            holding=row["status"] in ("at_risk", "over") and not ended,
            severity="critical" if over else "warning",
            summary=f"Budget {row['budget']} of ${float(row['amount_usd']):,.0f}: "
            + (
                f"${float(row['spent_usd']):,.2f} spent, over before the period's end "
                f"({row['period_end']})"
                if over
                else f"{probability:.0%} likely to be overrun by {row['period_end']}"
            ),
            value=probability,
            threshold=_LIKELY_OVER,
            detail={"scope": row["scope"], "spent_usd": float(row["spent_usd"] or 0)}
            | {"metric": "cost_usd"},
            owner=row["owner"],
            clear_days=1 if daily else 2,
        )


def _anomalies(marts: Marts, day: date) -> Iterator[Finding]:
    for row in marts.rows("anomaly", day):
        value, expected = float(row["value"]), float(row["expected"] or 0)
        large = row["kind"] == "new" or abs(value - expected) >= _SPIKE * abs(expected)
        chance = row["p_value"] is not None and row["p_value"] > _SPIKE_P
        if row["metric"] != "cost_usd" or not large or chance or value < expected:
            continue
        yield Finding(
            rule="spend-anomaly",
            topic="spend",
            labels={"scope": row["scope"]},
            firing=True,
            severity="warning",
            summary=f"Spend of {row['scope']} was ${value:,.2f}; ${expected:,.2f} was expected "
            f"(95 %: ${float(row['low'] or 0):,.2f} to ${float(row['high'] or 0):,.2f})",
            value=value,
            threshold=float(row["high"] or 0),
            detail={
                "metric": "cost_usd",
                "cause": row["cause"],
                "impact_usd": round(value - expected, 2),
            },
        )


def _completeness(marts: Marts, day: date) -> Iterator[Finding]:
    for row in marts.rows("reconciliation", day):
        yield Finding(
            rule="data-completeness",
            topic="data",
            labels={},
            firing=row["status"] in ("differs", "truncated"),
            severity="warning",
            summary=f"Copy of {day}: {row['detail'] or row['status']}",
            value=float(row["unexplained"] or 0),
            threshold=0.0,
        )


def _worse_versions(marts: Marts, day: date) -> Iterator[Finding]:
    """Prompts only: that one model is dearer or slower than another is no news by itself. And side
    by side only: between versions that ran in turn lies whatever else happened, of which the rules
    by day tell."""
    from llmops_jobs.store.tables import TABLES

    c = TABLES["version_comparison"].c
    told = (
        c.slice == "total",
        c.subject.like("prompt:%"),
    )
    ran = _environments(marts, day)
    for row in marts.rows("version_comparison", day, where=told):
        if not _newer(row["candidate"], row["baseline"]) or _IN_TURN in row["caveat"]:
            continue
        name = str(row["subject"]).partition(":")[2]
        # Staging against production compares two places, not two versions.
        if not ran.get((name, row["candidate"]), set()) & ran.get((name, row["baseline"]), set()):
            continue
        yield Finding(
            rule="version-worse",
            topic="versions",
            labels={
                "prompt_name": name,
                "candidate": row["candidate"],
                "baseline": row["baseline"],
                "compared": row["metric"],
            },
            firing=row["verdict"] == "worse",
            holding=row["verdict"] not in ("better", "same"),
            severity="warning",
            summary=f"{row['subject']}: {row['candidate']} is worse than {row['baseline']} in "
            f"{row['metric']}: {float(row['difference']):+.3g} "
            f"({float(row['low']):+.3g} to {float(row['high']):+.3g})",
            value=float(row["difference"]),
            threshold=0.0,
            n=int(row["n_candidate"]),
            detail={"metric": "requests", "caveat": row["caveat"]},
        )


def _environments(marts: Marts, day: date) -> dict[tuple[str, str], set[str]]:
    """Where the versions of a prompt, by name and version, were called on the day."""
    from llmops_jobs.store.tables import TABLES

    by = ["prompt_name", "prompt_version", "environment"]
    calls = marts.sums("usage_daily", {"n": TABLES["usage_daily"].c.requests}, by)
    found: dict[tuple[str, str], set[str]] = {}
    for row in marts.by_day(calls, day):
        found.setdefault((row["prompt_name"], row["prompt_version"]), set()).add(row["environment"])
    return found


def _newer(candidate: str, baseline: str) -> bool:
    """That an older version is worse than its successor is no trouble."""
    return not (candidate.isdigit() and baseline.isdigit()) or int(candidate) > int(baseline)


_RULES: Mapping[str, tuple[Any, str]] = {
    "unpriced-model": (_unpriced, ""),
    "budget": (_budgets, "budget_status"),
    "spend-anomaly": (_anomalies, ""),
    "data-completeness": (_completeness, "reconciliation"),
    "new-error-family": (novelty.error_families, ""),
    "model-swap": (novelty.swaps, "version_seen"),
    "change-point": (novelty.change_points, ""),
    "version-worse": (_worse_versions, ""),
    "drift": (drifts.moved, "drift"),
}
