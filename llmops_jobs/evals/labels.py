"""What people said about the calls: labels from Langfuse annotation, read from the lake's scores.

A label counts on the day it was given, for that is when it became known; a later answer of the
same person to the same question replaces an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs.evals.settings import HumanLabel

#: What is read of the lake's scores.
READ = ("name", "source", "data_type", "value", "string_value", "timestamp", "subject_kind",
        "trace_id", "observation_id")  # fmt: skip
COLUMNS = ("trace_id", "observation_id", "metric", "passed", "timestamp")


def human_labels(scores: pa.Table, wanted: Sequence[HumanLabel] = ()) -> pd.DataFrame:
    """One row per labelled call (or trace, then `observation_id` is '') and metric.

    `scores` are rows of the lake. Without `wanted` every BOOLEAN score that a person gave is a
    metric of its name; with it, the named scores are, by their own rule of what passes.
    """
    by_people = (pc.field("source") == "ANNOTATION") & (pc.field("trace_id") != "")
    rows = scores.select(list(READ)).filter(by_people).to_pandas()
    if wanted:
        parts = [_judged(rows, each) for each in wanted]
        labels = pd.concat(parts) if parts else rows.iloc[:0]
    else:
        labels = rows[(rows["data_type"] == "BOOLEAN") & rows["value"].notna()]
        labels = labels.assign(metric=labels["name"], passed=labels["value"] > 0)
    whole_trace = labels["subject_kind"] == "trace"
    labels = labels.assign(observation_id=labels["observation_id"].where(~whole_trace, ""))
    labels = labels.sort_values("timestamp", kind="stable").drop_duplicates(
        ["trace_id", "observation_id", "metric"], keep="last"
    )
    return labels[list(COLUMNS)].reset_index(drop=True)


def _judged(rows: pd.DataFrame, label: HumanLabel) -> pd.DataFrame:
    rows = rows[rows["name"] == label.score]
    if label.at_least is not None:
        rows = rows[rows["value"].notna()]
        passed = rows["value"] >= label.at_least
    elif label.passes:
        passed = rows["string_value"].isin(label.passes)
    else:
        rows = rows[rows["value"].notna()]
        passed = rows["value"] > 0
    return rows.assign(metric=label.metric or label.score, passed=passed)
