"""Two sets of results to one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_jobs.errors import UserError
from llmops_jobs.versions.gate.decide import Decision, Verdict, decide
from llmops_jobs.versions.gate.rules import GateRules

if TYPE_CHECKING:
    import pandas as pd


class NotComparableError(UserError):
    """The gate could not run: what it was given cannot be compared."""


@dataclass(frozen=True)
class Gate:
    baseline: str
    candidate: str
    verdict: Verdict
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]


def compare(
    baseline: pd.DataFrame,
    candidate: pd.DataFrame,
    rules: GateRules,
    names: tuple[str, str] = ("baseline", "candidate"),
) -> Gate:
    """The verdict over all metrics: fail if one fails, inconclusive if one is, else pass.

    Both frames have item_id, metric, value and repeat. The chance of a false fail is shared among
    the metrics (Bonferroni), so that ten metrics do not fail twice as often as one. Raises
    NotComparableError.
    """
    notes: list[str] = []
    _checked(baseline, names[0])
    _checked(candidate, names[1])
    wanted = _metrics(baseline, candidate, rules, notes)
    decisions = []
    for metric in wanted:
        rule = rules.rule(metric)
        assert rule is not None
        paired = _paired(baseline, candidate, metric, rules, names, notes)
        decisions.append(decide(metric, paired, rule, rules.alpha / len(wanted)))
    verdicts = {decision.verdict for decision in decisions}
    verdict: Verdict = (
        "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"
    )
    return Gate(names[0], names[1], verdict, tuple(decisions), tuple(notes))


def _checked(results: pd.DataFrame, name: str) -> None:
    if results.empty:
        raise NotComparableError(f"{name} holds no results")
    bad = results[~results["value"].map(_finite)]
    if len(bad):
        shown = ", ".join(f"{r.item_id} ({r.metric})" for r in bad.head(3).itertuples())
        raise NotComparableError(f"{name}: {len(bad)} values are not numbers: {shown}")
    repeated = results.duplicated(["item_id", "metric", "repeat"])
    if repeated.any():
        first = results[repeated].iloc[0]
        raise NotComparableError(
            f"{name}: item {first['item_id']} has {first['metric']} more than once; "
            "number the tries with `repeat` if that is meant"
        )


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and value == value and abs(value) != float("inf")


def _metrics(
    baseline: pd.DataFrame, candidate: pd.DataFrame, rules: GateRules, notes: list[str]
) -> list[str]:
    both = set(baseline["metric"]) & set(candidate["metric"])
    for metric in sorted(set(baseline["metric"]) ^ set(candidate["metric"])):
        rule = rules.rule(metric)
        if rule is not None and rule.required:
            where = "baseline" if metric in set(candidate["metric"]) else "candidate"
            raise NotComparableError(f"metric {metric} is missing in the {where}")
        notes.append(f"metric {metric} is in one run only and was left out")
    absent = [m for m, rule in rules.metrics.items() if rule.required and m not in both]
    if absent:
        raise NotComparableError(f"metric {', '.join(sorted(absent))} is in neither run")
    wanted = sorted(metric for metric in both if rules.rule(metric) is not None)
    if not wanted:
        raise NotComparableError("the two runs have no metric in common that a rule covers")
    return wanted


def _paired(
    baseline: pd.DataFrame,
    candidate: pd.DataFrame,
    metric: str,
    rules: GateRules,
    names: tuple[str, str],
    notes: list[str],
) -> pd.DataFrame:
    arms = {}
    for side, results in (("baseline", baseline), ("candidate", candidate)):
        rows = results[results["metric"] == metric]
        arms[side] = rows.groupby("item_id")["value"].agg(["mean", "min", "max"])
    items = {side: set(arm.index) for side, arm in arms.items()}
    shared = items["baseline"] & items["candidate"]
    if not shared:
        raise NotComparableError(
            f"{metric}: {names[0]} and {names[1]} have no item in common: "
            "were they run over different datasets?"
        )
    for side, name in zip(arms, names, strict=True):
        other = "candidate" if side == "baseline" else "baseline"
        lacking = sorted(map(str, items[other] - items[side]))
        if len(lacking) > rules.allow_missing * len(items[other]):
            raise NotComparableError(
                f"{metric}: {name} lacks {len(lacking)} of {len(items[other])} items "
                f"({', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''}); "
                "run them, or allow it with allow_missing"
            )
        if lacking:
            notes.append(f"{metric}: {len(lacking)} items missing in {name} were left out")
    if len(shared) < rules.minimum_items:
        raise NotComparableError(
            f"{metric}: {len(shared)} item{'s' if len(shared) != 1 else ''} in common cannot "
            f"decide anything; at least {rules.minimum_items} are needed"
        )
    joined = arms["baseline"].join(arms["candidate"], lsuffix="_b", rsuffix="_c", how="inner")
    joined = joined.sort_index().reset_index()
    joined.columns = [
        "item_id",
        *("baseline", "baseline_low", "baseline_high"),
        *("candidate", "candidate_low", "candidate_high"),
    ]
    return joined
