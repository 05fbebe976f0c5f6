"""The night's comparisons: every prompt and model with two versions in the window, every metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.versions.estimate import Arms, Difference, difference
from llmops_jobs.versions.sequence import e_benjamini_hochberg
from llmops_jobs.versions.traffic import FEEDBACK, PASS
from llmops_jobs.versions.verdict import Judged, Measure, judge

if TYPE_CHECKING:
    import pandas as pd

WINDOW = 28
_SMALLEST_ARM = 30  # calls in the window
_SLICES = ("feature", "tenant")
_LARGEST = 12  # slices of a dimension, by calls

_MEASURES = (
    Measure("error_rate", higher_is_better=False, margin=0.005),
    Measure("cost_per_request", higher_is_better=False, margin=0.05, relative=True),
    Measure("input_tokens", higher_is_better=False, margin=0.05, relative=True),
    Measure("output_tokens", higher_is_better=False, margin=0.05, relative=True),
    # Shares of calls slower than the baseline's own percentile: means, where a quantile is not.
    Measure("slower_than_p50", higher_is_better=False, margin=0.05),
    Measure("slower_than_p95", higher_is_better=False, margin=0.02),
    Measure(FEEDBACK, higher_is_better=True, margin=0.03),
)
_COLUMNS = {"error_rate": "error", "cost_per_request": "cost_usd"}


@dataclass(frozen=True)
class Pair:
    """A subject (`prompt:NAME` or `model:NAME`) and the two versions compared."""

    subject: str
    baseline: str
    candidate: str
    calls: pd.DataFrame
    side_by_side: float  # share of the candidate's days on which the baseline ran too


def compare(calls: pd.DataFrame, day: date, false_discovery_rate: float) -> pd.DataFrame:
    """Rows of `version_comparison` as of a day, from the calls of the window up to it.

    Slices whose evidence does not stand after e-Benjamini-Hochberg over all slices of the night are
    `not_enough_data`, whatever their own interval says.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    evidence: list[float] = []
    for pair in pairs(calls, day):
        arms = Arms.of(pair.calls)
        parts = [(name, rows, arms.take(rows)) for name, rows in slices(pair.calls)]
        for measure in measures(pair.calls):
            value, weight = _values(pair.calls, measure)
            for name, part, inside in parts:
                found = difference(inside, value[part], None if weight is None else weight[part])
                if found is None:
                    continue
                judged = judge(measure, found)
                rows.append(_row(pair, measure, name, found, judged))
                evidence.append(judged.e_value if name != "total" else 0.0)
    sliced = [index for index, row in enumerate(rows) if row["slice"] != "total"]
    standing = e_benjamini_hochberg([evidence[index] for index in sliced], false_discovery_rate)
    for index, stands in zip(sliced, standing, strict=True):
        if rows[index]["verdict"] in ("better", "worse") and not stands:
            rows[index]["verdict"] = "not_enough_data"
    return pd.DataFrame(rows)


def pairs(calls: pd.DataFrame, day: date) -> Iterator[Pair]:
    """The newest version of every subject that ran on `day`, against the one most used before."""
    for kind, subject, version in (
        ("prompt", "prompt_name", "prompt_version"),
        ("model", "request_model", "model"),
    ):
        rows = calls[(calls[subject] != "") & (calls[version] != "")]
        if kind == "model":
            # What failed was answered by no model: it carries the name that was asked for.
            rows = rows[rows["error"] == 0]
        for name, part in rows.groupby(subject):
            found = _pair(f"{kind}:{name}", part, version, day)
            if found is not None:
                yield found


def _pair(subject: str, rows: pd.DataFrame, version: str, day: date) -> Pair | None:
    days = rows.groupby(version)["day"].agg(["min", "max", "size"])
    days = days[days["size"] >= _SMALLEST_ARM]
    if len(days) < 2:
        return None
    candidate = days[days["max"] == day].sort_values(["min", "size"]).index[-1:]
    if not len(candidate):
        return None
    others = days.drop(candidate)
    others = others[others["min"] <= days.loc[candidate[0], "min"]]
    if others.empty:
        return None
    baseline = others["size"].idxmax()
    both = rows[rows[version].isin([baseline, candidate[0]])].copy()
    both["arm"] = (both[version] == candidate[0]).astype(int)
    both["slower_than_p50"], both["slower_than_p95"] = _slower(both)
    candidate_days = set(both.loc[both["arm"] == 1, "day"])
    baseline_days = set(both.loc[both["arm"] == 0, "day"])
    shared = len(candidate_days & baseline_days) / len(candidate_days)
    return Pair(subject, str(baseline), str(candidate[0]), both, shared)


def _slower(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    usual = rows.loc[rows["arm"] == 0, "latency_s"].dropna()
    known = rows["latency_s"].notna()
    p50, p95 = usual.quantile(0.5), usual.quantile(0.95)
    slow = (rows["latency_s"] > p50).astype(float).where(known)
    slowest = (rows["latency_s"] > p95).astype(float).where(known)
    return slow, slowest


def measures(calls: pd.DataFrame) -> Iterator[Measure]:
    """What can be compared in these calls: the standing metrics and every scorer's pass rate."""
    yield from _MEASURES
    for column in calls.columns:
        if column.startswith(PASS) and calls[column].notna().any():
            yield Measure(column, higher_is_better=True, margin=0.02)


def slices(calls: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Names and row numbers: everything, then the largest values of each slicing dimension."""
    yield "total", np.arange(len(calls))
    for dimension in _SLICES:
        sizes = calls.loc[calls[dimension] != "", dimension].value_counts()
        if len(sizes) < 2:
            continue
        for value in sorted(sizes.index[:_LARGEST]):
            yield f"{dimension}={value}", np.flatnonzero((calls[dimension] == value).to_numpy())


def _values(calls: pd.DataFrame, measure: Measure) -> tuple[np.ndarray, np.ndarray | None]:
    """The metric of every call and, for metrics of a sample, the calls' weights."""
    column = _COLUMNS.get(measure.name, measure.name)
    value = calls[column].to_numpy(dtype=float, na_value=np.nan)
    if not column.startswith(PASS):
        return value, None
    return value, calls["scored_weight"].to_numpy(dtype=float, na_value=np.nan)


def _row(
    pair: Pair, measure: Measure, name: str, found: Difference, judged: Judged
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
        "needed": judged.needed,
        "caveat": _caveat(pair, found),
    }


def _caveat(pair: Pair, found: Difference) -> str:
    said = []
    if pair.side_by_side < 0.5:
        said.append("the versions ran one after the other, not side by side")
    if found.overlap < 0.8:
        said.append(f"only {found.overlap:.0%} of the calls are of a kind that both versions saw")
    return "; ".join(said)
