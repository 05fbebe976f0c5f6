"""Two sets of results to one verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_jobs.versions.gate.decide import Decision, Verdict, decide
from llmops_jobs.versions.gate.results import (
    Names,
    by_item,
    checked,
    enough,
    judged_metrics,
    paired,
    same_dataset,
)
from llmops_jobs.versions.gate.rules import GateRules
from llmops_jobs.versions.gate.unpaired import decide_unpaired

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.versions.gate.production import Production


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
    names: Names = ("baseline", "candidate"),
) -> Gate:
    """The verdict over all metrics of two runs over the same items.

    Both frames have item_id, metric, value and repeat. The chance of a false fail is shared among
    the metrics (Bonferroni), so that ten metrics do not fail twice as often as one. Raises
    NotComparableError.
    """
    notes: list[str] = []
    checked(baseline, names[0])
    checked(candidate, names[1])
    same_dataset(baseline, candidate, names)
    wanted = judged_metrics(set(baseline["metric"]), set(candidate["metric"]), rules, notes)
    decisions = []
    for metric, rule in wanted.items():
        pairs = paired(baseline, candidate, metric, rules, names, notes)
        decisions.append(decide(metric, pairs, rule, rules.alpha / len(wanted)))
    return _gate(names, decisions, notes)


def compare_with_production(
    production: Production, candidate: pd.DataFrame, rules: GateRules, names: Names
) -> Gate:
    """The verdict of a run against what production's calls scored: other items, so unpaired.

    `candidate` has item_id, metric, value and repeat. Raises NotComparableError.
    """
    checked(candidate, names[1])
    notes = [
        "not the same items: "
        f"{names[1]} ran over {candidate['item_id'].nunique()} items of its own, the baseline is "
        f"{production.described}. A difference may come from the questions, not from the candidate"
    ]
    metrics = set(candidate["metric"])  # production has many more, of which nothing is asked
    wanted = judged_metrics(production.metrics & metrics, metrics, rules, notes)
    decisions = []
    for metric, rule in wanted.items():
        values = by_item(candidate, metric).sort_index()
        enough(metric, len(values), rules)
        against = production.values(metric)
        enough(f"{metric} in {names[0]}", against.users, rules)
        decisions.append(decide_unpaired(metric, against, values, rule, rules.alpha / len(wanted)))
    return _gate(names, decisions, notes)


def _gate(names: Names, decisions: Iterable[Decision], notes: list[str]) -> Gate:
    """Fail if one fails, inconclusive if one is, else pass."""
    decisions = tuple(decisions)
    verdicts = {decision.verdict for decision in decisions}
    verdict: Verdict = (
        "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"
    )
    return Gate(names[0], names[1], verdict, decisions, tuple(notes))
