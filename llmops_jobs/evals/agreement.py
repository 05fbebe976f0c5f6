"""Judge and quality model against people: do they find the failures, and what is it worth.

Measured on calls that people labelled in the trailing four weeks, in total and by slice: a judge
that agrees on one model's answers may be of no use on another's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from llmops_jobs.signals.intervals import wilson
from llmops_jobs.store import Database

WINDOW_DAYS = 28
#: Below these a predictor is shown as not calibrated.
MIN_LABELS, MIN_KAPPA = 30, 0.4
SLICES = ("feature", "model", "prompt")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a predictor agrees with people. Intervals are of 95 %: Wilson's of the shares, for
    kappa by the standard error of Fleiss, Cohen & Everitt (1969)."""

    n: int
    failures: int
    sensitivity: float
    sensitivity_low: float
    sensitivity_high: float
    specificity: float
    specificity_low: float
    specificity_high: float
    kappa: float
    kappa_low: float
    kappa_high: float
    status: str


def label_rows(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Rows of `human_label` from a day's outcomes."""
    rows = outcomes[outcomes["part"].isin(["labelled", "unpredicted"])]
    if rows.empty:
        return pd.DataFrame()
    prompt = (rows["prompt_name"] + "@" + rows["prompt_version"]).where(
        rows["prompt_name"] != "", ""
    )
    return pd.DataFrame(
        {
            "trace_id": rows["trace_id"],
            "observation_id": rows["observation_id"],
            "metric": rows["metric"],
            "passed": (rows["y"] > 0).astype(object),
            "predicted": rows["f"].where(rows["part"] == "labelled"),
            "predictor": rows["predictor"].fillna(""),
            "feature": rows["feature"],
            "model": rows["model"],
            "prompt": prompt,
            "w": rows["w"],
        }
    )


def agreement(database: Database, project: str, day: date) -> pd.DataFrame:
    """Rows of `judge_agreement` as of a day."""
    labels = database.table("human_label", project, day - timedelta(days=WINDOW_DAYS - 1), day)
    labels = labels[labels["predicted"].notna()]
    records = []
    for (metric, predictor), part in labels.groupby(["metric", "predictor"]):
        slices = [("total", part)]
        for name in SLICES:
            named = part[part[name] != ""]
            slices += [(f"{name}={value}", rows) for value, rows in named.groupby(name)]
        for name, rows in slices:
            found = compare(
                rows["passed"].to_numpy(dtype=bool), rows["predicted"].to_numpy(dtype=float) >= 0.5
            )
            records.append(
                {"metric": metric, "slice": name, "predictor": predictor, **asdict(found)}
            )
    if not records:
        return pd.DataFrame()
    # One predictor a metric and slice: the one with more labels, when it changed on the way.
    rows = pd.DataFrame(records).sort_values("n", kind="stable")
    return rows.drop_duplicates(["metric", "slice"], keep="last").sort_values(["metric", "slice"])


def compare(passed: np.ndarray, predicted: np.ndarray) -> Agreement:
    """What people said, and what was predicted, of the same calls: sensitivity is the share of
    failures that is found, specificity that of passes that is passed."""
    table = np.array(
        [
            [(~passed & ~predicted).sum(), (~passed & predicted).sum()],
            [(passed & ~predicted).sum(), (passed & predicted).sum()],
        ],
        dtype=float,
    )
    n, of = len(passed), table.sum(axis=1)
    right = np.diag(table)
    with np.errstate(invalid="ignore"):
        share = right / of
    low, high = wilson(right, of)
    kappa = kappa_low = kappa_high = float("nan")
    if of.all() and table.sum(axis=0).all():
        kappa, kappa_low, kappa_high = _kappa(table)
    if n < MIN_LABELS:
        status = f"not calibrated: {n} labels, {MIN_LABELS} needed"
    elif not kappa >= MIN_KAPPA:
        status = f"not calibrated: agreement with people is below kappa {MIN_KAPPA}"
    else:
        status = "calibrated"
    return Agreement(
        n=n,
        failures=int(of[0]),
        sensitivity=float(share[0]),
        sensitivity_low=float(low[0]),
        sensitivity_high=float(high[0]),
        specificity=float(share[1]),
        specificity_low=float(low[1]),
        specificity_high=float(high[1]),
        kappa=kappa,
        kappa_low=kappa_low,
        kappa_high=kappa_high,
        status=status,
    )


def _kappa(table: np.ndarray) -> tuple[float, float, float]:
    """Kappa, and its interval of a table with half a call more in each cell: among few labels the
    plain one covers far too seldom (29 % of the time among 30 labels of a judge with kappa 0.96),
    and is a point where nobody was seen to disagree."""
    from statsmodels.stats.inter_rater import cohens_kappa

    kappa, wider = float(cohens_kappa(table).kappa), cohens_kappa(table + 0.5)
    low, high = float(wider.kappa_low), float(wider.kappa_upp)
    return kappa, max(-1.0, min(kappa, low)), min(1.0, max(kappa, high))
