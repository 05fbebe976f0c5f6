"""Two sets of results, checked and laid side by side; what cannot be compared is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_jobs.errors import UserError
from llmops_jobs.versions.gate.directions import higher_is_better
from llmops_jobs.versions.gate.rules import GateRules, MetricRule

if TYPE_CHECKING:
    import pandas as pd

Names = tuple[str, str]
_SHOWN = 3


class NotComparableError(UserError):
    """The gate could not run: what it was given cannot be compared."""


def checked(results: pd.DataFrame, name: str) -> None:
    """Refuses a run without results, with values that are not numbers, or with duplicates."""
    if results.empty:
        raise NotComparableError(f"{name} holds no results")
    bad = results[~results["value"].map(_finite)]
    if len(bad):
        shown = ", ".join(f"{r.item_id} ({r.metric})" for r in bad.head(_SHOWN).itertuples())
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


def same_dataset(baseline: pd.DataFrame, candidate: pd.DataFrame, names: Names) -> None:
    """Refuses two experiments that ran over different datasets."""
    datasets = [results.attrs.get("dataset") for results in (baseline, candidate)]
    if all(datasets) and datasets[0] != datasets[1]:
        raise NotComparableError(
            f"{names[0]} ran over dataset {datasets[0]}, {names[1]} over {datasets[1]}: "
            "their items cannot be compared"
        )


def judged_metrics(
    baseline: set[str], candidate: set[str], rules: GateRules, notes: list[str]
) -> dict[str, MetricRule]:
    """Metric -> its rule with a direction, for the metrics of both runs that a rule covers."""
    for metric in sorted(baseline ^ candidate):
        rule = rules.rule(metric)
        if rule is not None and rule.required:
            where = "baseline" if metric in candidate else "candidate"
            raise NotComparableError(f"metric {metric} is missing in the {where}")
        notes.append(f"metric {metric} is in one run only and was left out")
    both = baseline & candidate
    absent = [m for m, rule in rules.metrics.items() if rule.required and m not in both]
    if absent:
        raise NotComparableError(f"metric {', '.join(sorted(absent))} is in neither run")
    wanted = {m: rule for m in sorted(both) if (rule := rules.rule(m)) is not None}
    if not wanted:
        raise NotComparableError("the two runs have no metric in common that a rule covers")
    return {metric: _directed(metric, rule, notes) for metric, rule in wanted.items()}


def _directed(metric: str, rule: MetricRule, notes: list[str]) -> MetricRule:
    if rule.higher_is_better is not None:
        return rule
    better = higher_is_better(metric)
    if better is None:
        raise NotComparableError(
            f"metric {metric}: is more of it better or worse? Its name does not tell: say "
            "higher_is_better under its name in gate.yaml"
        )
    notes.append(f"{metric}: {'more' if better else 'less'} is better, by its name")
    return rule.model_copy(update={"higher_is_better": better})


def paired(
    baseline: pd.DataFrame,
    candidate: pd.DataFrame,
    metric: str,
    rules: GateRules,
    names: Names,
    notes: list[str],
) -> pd.DataFrame:
    """A row per item of both runs: the mean over repeats of each, its worst and its best."""
    arms = {"baseline": by_item(baseline, metric), "candidate": by_item(candidate, metric)}
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
                f"({', '.join(lacking[:_SHOWN])}{', …' if len(lacking) > _SHOWN else ''}): is it "
                "still running? Run them, or allow it with allow_missing"
            )
        if lacking:
            notes.append(f"{metric}: {len(lacking)} items missing in {name} were left out")
    enough(metric, len(shared), rules, "in common ")
    joined = arms["baseline"].join(arms["candidate"], lsuffix="_b", rsuffix="_c", how="inner")
    joined = joined.sort_index().reset_index()
    joined.columns = [
        "item_id",
        *("baseline", "baseline_low", "baseline_high"),
        *("candidate", "candidate_low", "candidate_high"),
    ]
    return joined


def by_item(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """mean, min and max over the repeats of every item."""
    rows = results[results["metric"] == metric]
    return rows.groupby("item_id")["value"].agg(["mean", "min", "max"])


def enough(metric: str, items: int, rules: GateRules, where: str = "") -> None:
    if items < rules.minimum_items:
        raise NotComparableError(
            f"{metric}: {items} item{'s' if items != 1 else ''} {where}cannot decide anything; "
            f"at least {rules.minimum_items} are needed"
        )
