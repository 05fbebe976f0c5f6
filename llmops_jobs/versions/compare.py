"""The night's comparisons: every prompt and model with two versions in the window, every metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.versions.balance import Imbalance, balance, caveats
from llmops_jobs.versions.calls import FEEDBACK, PASS, STANDS_FOR, WEIGHT, Calls
from llmops_jobs.versions.estimate import Difference, differences
from llmops_jobs.versions.pairs import FirstSeen, Pair, pairs, slices
from llmops_jobs.versions.sequence import e_benjamini_hochberg
from llmops_jobs.versions.settings import VersionSettings
from llmops_jobs.versions.verdict import Judged, Measure, judge

if TYPE_CHECKING:
    import pandas as pd

WINDOW = 28
OF_A_SAMPLE = "counts are of a sample"  # how a caveat begins that takes nothing from a verdict

_MEASURES = (
    Measure("error_rate", higher_is_better=False, margin=0.005),
    Measure("cost_per_request", higher_is_better=False, margin=0.05, relative=True),
    Measure("input_tokens", higher_is_better=False, margin=0.05, relative=True),
    Measure("output_tokens", higher_is_better=False, margin=0.05, relative=True),
    Measure("slower_than_p50", higher_is_better=False, margin=0.05),
    Measure("slower_than_p95", higher_is_better=False, margin=0.02),
    Measure("first_token_slower_than_p50", higher_is_better=False, margin=0.05),
    Measure("first_token_slower_than_p95", higher_is_better=False, margin=0.02),
    Measure(FEEDBACK, higher_is_better=True, margin=0.03),
)
_COLUMNS = {"error_rate": "error", "cost_per_request": "cost_usd"}


@dataclass(frozen=True)
class Night:
    """Rows of `version_comparison` and of `version_balance`."""

    comparisons: pd.DataFrame
    balance: pd.DataFrame


def compare(calls: Calls, day: date, settings: VersionSettings, first_seen: FirstSeen) -> Night:
    """The comparisons as of a day, from the calls of the window up to it.

    Slices whose evidence does not stand after e-Benjamini-Hochberg over all slices of the night are
    `not_enough_data`, whatever their own interval says.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    evidence: list[float] = []
    balanced: list[dict[str, object]] = []
    for pair in pairs(calls, day, first_seen):
        parts = slices(pair)
        sampled = list(_sampled(pair, settings.calls_per_day))
        imbalances = balance(pair, parts[0])
        balanced += [_balance_row(pair, row) for row in imbalances]
        of_pair = [*_in_turn(pair), *caveats(pair, imbalances)]
        for measure in measures(pair.calls):
            column = _COLUMNS.get(measure.name, measure.name)
            is_scored = column.startswith(PASS)
            weight = pair.calls[WEIGHT if is_scored else STANDS_FOR]
            # Scored calls are all there; of others, that many requests bring one into the sample.
            each = 1.0 if is_scored else float(weight.mean())
            for name, found in differences(pair.arms, pair.calls[column], parts, weight):
                judged = judge(measure, found)
                said = [*of_pair, *_no_overlap(found), *sampled]
                rows.append(_row(pair, measure, name, found, judged, said, each))
                evidence.append(judged.e_value if name != "total" else 0.0)
    sliced = [index for index, row in enumerate(rows) if row["slice"] != "total"]
    rate = settings.false_discovery_rate
    standing = e_benjamini_hochberg([evidence[index] for index in sliced], rate)
    for index, stands in zip(sliced, standing, strict=True):
        if rows[index]["verdict"] in ("better", "worse") and not stands:
            rows[index]["verdict"] = "not_enough_data"
    return Night(pd.DataFrame(rows), pd.DataFrame(balanced))


def measures(calls: Calls) -> Iterator[Measure]:
    """What can be compared in these calls: the standing metrics and every scorer's pass rate."""
    yield from _MEASURES
    for column in sorted(calls.columns):
        if column.startswith(PASS) and np.isfinite(calls[column]).any():
            yield Measure(column, higher_is_better=True, margin=0.02)


def _row(
    pair: Pair,
    measure: Measure,
    name: str,
    found: Difference,
    judged: Judged,
    said: list[str],
    each: float,
) -> dict[str, object]:
    return {
        "subject": pair.subject,
        "baseline": pair.baseline,
        "candidate": pair.candidate,
        "metric": measure.name,
        "slice": name,
        "n_baseline": found.n_baseline,
        "n_candidate": found.n_candidate,
        "baseline_value": found.baseline,
        "candidate_value": found.candidate,
        "difference": found.difference,
        "low": judged.low,
        "high": judged.high,
        "verdict": judged.verdict,
        "needed": judged.needed and round(judged.needed * each),
        "caveat": "; ".join(said),
    }


def _sampled(pair: Pair, limit: int) -> Iterator[str]:
    held, all_calls = len(pair.calls), round(pair.calls[STANDS_FOR].sum())
    if held < all_calls:
        yield (
            f"{OF_A_SAMPLE}, {held:,} of about {all_calls:,} calls "
            f"(days of more than {limit:,} are sampled)"
        )


def _in_turn(pair: Pair) -> Iterator[str]:
    if pair.side_by_side < 0.5:
        yield "the versions ran one after the other, not side by side"


def _no_overlap(found: Difference) -> Iterator[str]:
    if found.overlap < 0.8:
        yield f"only {found.overlap:.0%} of the calls are of a kind that both versions saw"


def _balance_row(pair: Pair, row: Imbalance) -> dict[str, object]:
    named = {"subject": pair.subject, "baseline": pair.baseline, "candidate": pair.candidate}
    own = ("deviation", "noise")  # of the reckoning only
    shown = {name: value for name, value in row.__dict__.items() if name not in own}
    return {**named, **shown}
