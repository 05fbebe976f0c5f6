"""Calls of one day as the comparison reads them: a row per call, a column per metric."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import Lake

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

FEEDBACK = "positive_feedback"
_OF_ANSWERS = ["cost_usd", "input_tokens", "output_tokens", "latency_s", "time_to_first_token_s"]
PASS = "pass_rate:"  # and the scorer's name


def calls(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Product model calls that belong to a prompt or a named model (an engine definition)."""
    observations, costs = tables["observations"], tables["costs"]
    observations = observations.filter(
        observations.is_model_call & ~observations.is_evaluation & (observations.model != "")
    )
    joined = observations.left_join(costs, ["trace_id", "observation_id"])
    return joined.select(
        "trace_id",
        "observation_id",
        "day",
        "start_time",
        "prompt_name",
        "prompt_version",
        "request_model",
        "model",
        "feature",
        "tenant",
        "user_id",
        "session_id",
        "latency_s",
        "time_to_first_token_s",
        "input_tokens",
        "output_tokens",
        error=(joined.level == "ERROR").cast("float64"),
        cost_usd=joined.cost_usd.cast("float64"),
    )


class Traffic:
    """Calls by day, each day read once for all the nights of a run that look back on it."""

    def __init__(self, deployment: Deployment, project: str) -> None:
        self._deployment = deployment
        self._project = project
        self._days: dict[date, pd.DataFrame] = {}

    def window(self, day: date, length: int) -> pd.DataFrame:
        """The calls of the `length` days up to and with `day`."""
        import pandas as pd

        first = day - timedelta(days=length - 1)
        wanted = [first + timedelta(days=offset) for offset in range(length)]
        for old in [kept for kept in self._days if kept < first]:
            del self._days[old]
        for each in wanted:
            if each not in self._days:
                self._days[each] = self._read(each)
        return pd.concat([self._days[each] for each in wanted], ignore_index=True)

    def _read(self, day: date) -> pd.DataFrame:
        home = self._deployment
        rows = home.engine.run(calls, home.lake, self._project, [day]).to_pandas()
        rows = rows.merge(self._passed(day), how="left", on=["trace_id", "observation_id"])
        # A failed call is cheap and quick because it did nothing: only its failing counts.
        rows.loc[rows["error"] == 1, _OF_ANSWERS] = float("nan")
        rows["cluster"] = _first_filled(rows, ["user_id", "session_id", "trace_id"])
        rows["stratum"] = rows["feature"] + "\x1f" + rows["tenant"]
        rows["prompt_version"] = [
            "" if version is None or version != version else str(int(version))
            for version in rows["prompt_version"]
        ]
        return rows

    def _passed(self, day: date) -> pd.DataFrame:
        """A column per scorer (1 passed, 0 not) and the weight of the scored call."""
        import pandas as pd

        columns = ["trace_id", "observation_id", "scored_weight"]
        scores = self._deployment.database.table("score", self._project, day, day, status="ok")
        scores = scores[scores["passed"].notna()] if len(scores) else scores
        if not len(scores):
            return pd.DataFrame(columns=columns)
        scores = scores.assign(passed=scores["passed"].astype(float))
        wide = scores.pivot_table(
            index=["trace_id", "observation_id"], columns="scorer", values="passed", aggfunc="last"
        ).add_prefix(PASS)
        chance = scores.groupby(["trace_id", "observation_id"])["inclusion_probability"].max()
        wide["scored_weight"] = 1 / chance.fillna(1).clip(lower=1e-6)
        return wide.reset_index()


def votes(lake: Lake, project: str, day: date, length: int) -> pd.DataFrame:
    """trace_id and value of the thumbs that users gave in the `length` days up to `day`."""
    days = [day - timedelta(days=offset) for offset in range(length)]
    columns = ["trace_id", "value", "source", "data_type"]
    scores = lake.read_days("scores", project, days, columns).to_pandas()
    return scores[(scores["source"] == "API") & (scores["data_type"] == "BOOLEAN")]


def with_feedback(rows: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Adds FEEDBACK: the users' thumbs of a trace, on the last call of each subject in the trace.

    `scores` has trace_id and value (1 up, 0 down) of users' BOOLEAN scores. No vote stays missing.
    """
    votes = scores.groupby("trace_id")["value"].mean()
    last = rows.sort_values(["start_time", "observation_id"]).groupby("trace_id").tail(1).index
    rows = rows.copy()
    rows[FEEDBACK] = rows.loc[last, "trace_id"].map(votes)
    return rows


def _first_filled(rows: pd.DataFrame, columns: list[str]) -> pd.Series:
    result = rows[columns[0]]
    for name in columns[1:]:
        result = result.where(result != "", rows[name])
    return result
