"""Which scorers stand in for people, and for which metric: judges and the quality model."""

from __future__ import annotations

import pandas as pd

from llmops_jobs.evals.settings import EvalSettings

QUALITY_MODEL = "quality_model:"
JUDGE = "judge:"


def metric_of(scorer: str, settings: EvalSettings) -> str | None:
    """The metric that a scorer predicts; None for a scorer that is its own metric."""
    if scorer.startswith(QUALITY_MODEL):
        return scorer.removeprefix(QUALITY_MODEL)
    if scorer.startswith(JUDGE):
        rubric = scorer.removeprefix(JUDGE)
        return settings.judge.anchors.get(rubric, rubric)
    return None


def predictions(scores: pd.DataFrame, settings: EvalSettings) -> pd.DataFrame:
    """One row per call and metric: `f`, the share of people who would pass it.

    A metric's judge is preferred to its quality model, for whole days: mixing the two within a day
    would make the prediction depend on what was judged.
    """
    metrics = {name: metric_of(name, settings) for name in scores["scorer"].unique()}
    rows = scores[scores["scorer"].map(metrics).notna()]
    rows = rows.assign(metric=rows["scorer"].map(metrics))
    judged = rows["scorer"].str.startswith(JUDGE)
    has_judge = set(rows.loc[judged, "metric"])
    rows = rows[judged | ~rows["metric"].isin(has_judge)]
    judged = rows["scorer"].str.startswith(JUDGE)
    f = rows["y"].where(judged, rows["value"].astype(float))
    return rows.assign(f=f, predictor=rows["scorer"]).drop_duplicates(
        ["trace_id", "observation_id", "metric"]
    )
