"""What a score says as a vote: for, against, or neither."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from llmops_jobs.signals.settings import FeedbackSettings


def polarity(scores: pd.DataFrame, settings: FeedbackSettings) -> np.ndarray:
    """1 for a positive vote, -1 for a negative one, 0 for a neutral one, NaN for a score that is
    no vote (free text, a category that is neither good nor bad, a number off its scale).

    `scores` has the columns `name`, `data_type`, `value` and `string_value` of the lake's table.
    """
    value = scores["value"].to_numpy(float, na_value=np.nan)
    vote = np.full(len(scores), np.nan)
    kind = scores["data_type"].to_numpy(object)
    boolean = kind == "BOOLEAN"
    vote[boolean] = np.where(value[boolean] >= 0.5, 1.0, -1.0)
    vote[boolean & np.isnan(value)] = np.nan

    label = scores["string_value"].str.strip().str.lower().str.replace(r"[\s-]+", "_", regex=True)
    categorical = kind == "CATEGORICAL"
    good = {text.lower() for text in settings.positive_labels}
    bad = {text.lower() for text in settings.negative_labels}
    vote[categorical & label.isin(good).to_numpy()] = 1.0
    vote[categorical & label.isin(bad).to_numpy()] = -1.0

    numeric = kind == "NUMERIC"
    for name in scores.loc[numeric, "name"].unique():
        mine = numeric & (scores["name"] == name).to_numpy()
        vote[mine] = _numeric(str(name), value[mine], settings)
    return vote


def _numeric(name: str, value: np.ndarray, settings: FeedbackSettings) -> np.ndarray:
    for scale in settings.scales:
        if re.fullmatch(scale.name, name, re.IGNORECASE):
            up, down = value >= scale.positive_from, value <= scale.negative_to
            break
    else:
        # Thumbs as 1 and 0 or 1 and -1, and shares of 1; anything larger has an unknown scale.
        known = np.abs(value) <= 1
        up, down = known & (value >= 0.5), known & (value < 0.5)
        return np.select([up, down], [1.0, -1.0], np.nan)
    return np.where(np.isnan(value), np.nan, np.select([up, down], [1.0, -1.0], 0.0))
