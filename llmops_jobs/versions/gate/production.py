"""What production's calls scored: the baseline of a candidate that ran over items of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.deployment import Deployment
from llmops_jobs.versions.gate.results import NotComparableError
from llmops_jobs.versions.gate.rules import ProductionRules
from llmops_jobs.versions.gate.unpaired import Values

if TYPE_CHECKING:
    import pandas as pd

WORD = "production"
# Measured of every call; anything else is a score of that name.
_MEASURED = ("cost_usd", "latency_s", "time_to_first_token_s", "input_tokens", "output_tokens")


@dataclass(frozen=True)
class Production:
    """Rows of metric, value, weight and user of the calls that were looked at."""

    rows: pd.DataFrame
    described: str

    @property
    def metrics(self) -> set[str]:
        return set(self.rows["metric"])

    def values(self, metric: str) -> Values:
        rows = self.rows[self.rows["metric"] == metric]
        return Values(
            rows["value"].to_numpy(dtype=float),
            rows["weight"].to_numpy(dtype=float),
            rows["user"].factorize()[0],
        )


def named(name: str, rules: ProductionRules) -> ProductionRules | None:
    """The rules with what `production[:PROMPT[@VERSION or LABEL]]` says; None for other names."""
    word, _, rest = name.partition(":")
    if word != WORD:
        return None
    prompt, _, which = rest.partition("@")
    changed: dict[str, object] = {"prompt": prompt} if prompt else {}
    if which.isdecimal():
        changed |= {"version": int(which), "label": ""}
    elif which:
        changed |= {"version": None, "label": which}
    return rules.model_copy(update=changed)


def read_production(deployment: Deployment, project: str, rules: ProductionRules) -> Production:
    """The scores and measures of production's calls of the newest days that were copied.

    A score is one that this project's scorers stored (the value, or for a scorer without one
    whether it passed), else a Langfuse score of the call or its trace. `rules.metrics` renames
    them. Raises NotComparableError when there are no such calls.
    """
    import pandas as pd

    days = deployment.lake.days("observations", project)
    if not days:
        raise NotComparableError("nothing of production was copied yet: llmops run --from … --to …")
    wanted = [days[-1] - timedelta(days=back) for back in reversed(range(rules.days))]
    calls = _calls(deployment, project, wanted, rules)
    later = [day for day in days if day >= wanted[0]]
    scores = pd.concat(
        [_scored(deployment, project, wanted), _langfuse(deployment, project, later)]
    )
    # Both may know a score of that name: the call's own stands before its trace's.
    keys = ["trace_id", "observation_id"]
    of_call = calls.merge(scores, on=keys)
    of_trace = calls.merge(
        scores[scores["observation_id"] == ""].drop(columns=keys[1]), on=keys[:1]
    )
    found = pd.concat([of_call, of_trace]).drop_duplicates([*keys, "metric"])
    measured = calls.melt(
        [*keys, "user"], list(_MEASURED), var_name="metric", value_name="value"
    ).assign(weight=1.0)
    failed = calls.assign(metric="error_rate", value=calls["error"], weight=1.0)
    columns = ["metric", "value", "weight", "user"]
    rows = pd.concat([part[columns] for part in (found, measured, failed)])
    rows = rows[rows["value"].notna()]
    renames = {theirs: ours for ours, theirs in rules.metrics.items()}
    rows["metric"] = rows["metric"].replace(renames)
    described = (
        f"{len(calls):,} calls of {calls['user'].nunique():,} users of production"
        f"{_which(rules, calls)}, {wanted[0]} to {wanted[-1]}"
    )
    return Production(rows, described)


def _calls(
    deployment: Deployment, project: str, days: list[date], rules: ProductionRules
) -> pd.DataFrame:
    """The chosen calls with their measures; `user` is the user, else session, else trace."""
    import pandas as pd

    from llmops_jobs.lake.batches import batches
    from llmops_jobs.versions.sample import product_calls, undrawn

    lake, parts = deployment.lake, []
    version = rules.version if not rules.label else _labelled(deployment, project, rules)
    for batch in batches(lake, project, days):
        rows = deployment.engine.run(
            product_calls, lake, project, batch, undrawn(batch)
        ).to_pandas()
        kept = pd.Series(True, index=rows.index)
        if rules.prompt:
            kept &= rows["prompt_name"] == rules.prompt
        if version is not None:
            kept &= rows["prompt_version"] == version
        if rules.feature:
            kept &= rows["feature"] == rules.feature
        parts.append(rows[kept])
    calls = pd.concat(parts, ignore_index=True)
    if calls.empty:
        which = f"prompt {rules.prompt or '(any)'}, version {version or '(any)'}"
        raise NotComparableError(
            f"production has no call from {days[0]} to {days[-1]} with {which}, "
            f"feature {rules.feature or '(any)'}"
        )
    user = calls["user_id"].where(calls["user_id"] != "", calls["session_id"])
    calls["user"] = user.where(user != "", calls["trace_id"])
    # A failed call is cheap and quick because it did nothing: only its failing counts.
    calls.loc[calls["error"] == 1, list(_MEASURED)] = float("nan")
    return calls


def _labelled(deployment: Deployment, project: str, rules: ProductionRules) -> int:
    if not rules.prompt:
        raise NotComparableError(
            f"label {rules.label}: of which prompt? Say production:PROMPT@LABEL"
        )
    labels = deployment.database.table(
        "prompt_label", project, prompt_name=rules.prompt, label=rules.label
    )
    if labels.empty:
        raise NotComparableError(
            f"no version of prompt {rules.prompt} was seen with the label {rules.label}"
        )
    return int(labels.sort_values("day")["version"].iloc[-1])


def _scored(deployment: Deployment, project: str, days: list[date]) -> pd.DataFrame:
    """What this project's scorers stored, the newest version of each."""
    import sqlalchemy as sa

    from llmops_jobs.store.tables.evals import score

    c = score.c
    query = sa.select(
        c.trace_id,
        c.observation_id,
        c.scorer.label("metric"),
        sa.func.coalesce(c.value, sa.cast(c.passed, sa.Integer)).label("value"),
        (1.0 / sa.func.coalesce(c.inclusion_probability, 1.0)).label("weight"),
    ).where(c.project_id == project, c.day.between(days[0], days[-1]), c.status == "ok")
    rows = deployment.database.read(query.order_by(c.day, c.scorer_version))
    return rows.drop_duplicates(["trace_id", "observation_id", "metric"], keep="last")


def _langfuse(deployment: Deployment, project: str, days: list[date]) -> pd.DataFrame:
    """Numeric and yes-or-no scores that Langfuse holds; of several of one name, their mean."""
    columns = ["trace_id", "observation_id", "name", "value", "data_type"]
    rows = deployment.lake.read_days("scores", project, days, columns).to_pandas()
    rows = rows[rows["data_type"].isin(["NUMERIC", "BOOLEAN"]) & rows["value"].notna()]
    rows["observation_id"] = rows["observation_id"].fillna("")
    keys = ["trace_id", "observation_id", "name"]
    means = rows.groupby(keys, as_index=False)["value"].mean()
    return means.rename(columns={"name": "metric"}).assign(weight=1.0)


def _which(rules: ProductionRules, calls: pd.DataFrame) -> str:
    said = f" with prompt {rules.prompt}" if rules.prompt else ""
    versions = sorted({int(v) for v in calls["prompt_version"].dropna().unique()})
    if rules.prompt and versions:
        said += f" version {', '.join(map(str, versions))}"
    return said + (f" in feature {rules.feature}" if rules.feature else "")
