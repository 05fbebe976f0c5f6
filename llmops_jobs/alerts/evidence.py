"""What goes into a message beside the number: which slices explain it, and traces that show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.dimensions import DIMENSIONS, NONE_LABEL

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.lake import Lake

_SHOWN = 3
_NO_MORE = 0.8
_COLUMNS = (
    *("trace_id", "observation_id", "is_model_call", "is_evaluation", "level", "latency_s"),
    *("time_to_first_token_s", "input_tokens", "output_tokens", "reported_cost_usd"),
    *("environment", "provider", "model", "feature", "prompt_name", "prompt_version", "tenant"),
)


def contributions(marts: Marts, finding: Finding, day: date) -> list[dict[str, Any]]:
    """The slices within the finding's that grew most since a week ago, largest first.

    Each with its share of the growth; only for metrics whose mass adds up (errors, tokens, money).
    """
    metric = METRICS.get(str(finding.detail.get("metric", "")))
    if metric is None or metric.mass == "requests":
        return []
    inside, before = (
        _within(marts.cells(when), finding) for when in (day, day - timedelta(days=7))
    )
    growth = float(inside[metric.mass].sum() - before[metric.mass].sum())
    if growth <= 0:
        return []
    found: list[dict[str, Any]] = []
    for name in DIMENSIONS:
        if name == "is_evaluation" or name in finding.slice:
            continue
        then = before.groupby(name)[metric.mass].sum()
        change = inside.groupby(name)[metric.mass].sum().sub(then, fill_value=0)
        if len(change) < 2:
            continue
        value, part = str(change.idxmax()), min(float(change.max()) / growth, 1.0)
        # What grew as everything grew explains nothing.
        if then.get(change.idxmax(), 0.0) < part * float(then.sum()) * _NO_MORE:
            found.append({"slice": f"{name}={value or NONE_LABEL}", "share": round(part, 3)})
    return sorted(found, key=lambda row: -row["share"])[:_SHOWN]


def _within(cells: pd.DataFrame, finding: Finding) -> pd.DataFrame:
    for name, value in finding.slice.items():
        if name in cells:
            cells = cells[cells[name].astype(str) == value]
    return cells


@dataclass
class Evidence:
    """Finds the traces that show an incident, in the lake; days are read once."""

    marts: Marts
    lake: Lake | None
    base_url: str
    _days: dict[date, pd.DataFrame] = field(default_factory=dict)

    def of(self, finding: Finding, day: date) -> dict[str, Any]:
        """`traces`: addresses, the most telling first; `contributions`."""
        return {
            "contributions": contributions(self.marts, finding, day),
            "traces": [self.link(*ids) for ids in self._ids(finding, day) if self.base_url],
        }

    def link(self, trace_id: str, observation_id: str) -> str:
        address = (
            f"{self.base_url.rstrip('/')}/project/{quote(self.marts.project, safe='')}"
            f"/traces/{quote(trace_id, safe='')}"
        )
        return address + (
            f"?observation={quote(observation_id, safe='')}" if observation_id else ""
        )

    def _ids(self, finding: Finding, day: date) -> list[tuple[str, str]]:
        known = finding.detail.get("trace_id")
        if known:
            return [(str(known), "")]
        if finding.topic == "judge":
            return self._judged_otherwise(finding.labels["quality"], day)
        if self.lake is None or finding.topic == "data":
            return []
        if finding.topic == "drift":
            from llmops_jobs.evals.words import showing

            words = finding.slice if finding.labels.get("kind") == "words" else {}
            feature = words.get("feature")
            if feature is None:
                return []
            return showing(self.lake, self.marts.project, day, feature, _SHOWN)
        calls = _within(self._calls(day), finding)
        if finding.topic == "errors":
            calls = calls[calls["level"] == "ERROR"]
        elif finding.topic == "quality":
            scorer = finding.labels.get("quality") or finding.labels.get("subject", "")
            failed = self._failed(day, scorer)
            calls = calls[calls["observation_id"].isin(failed)]
        column = _TELLING.get(str(finding.detail.get("metric", "")))
        if column:
            calls = calls.sort_values(column, ascending=False, na_position="last", kind="stable")
        return list(calls[["trace_id", "observation_id"]].head(_SHOWN).itertuples(index=False))

    def _calls(self, day: date) -> pd.DataFrame:
        if day not in self._days:
            assert self.lake is not None
            rows = self.lake.read_day("observations", self.marts.project, day, _COLUMNS).to_pandas()
            rows = rows[rows["is_model_call"] & ~rows["is_evaluation"]]
            versions = rows["prompt_version"].astype("Int64").astype(str).replace("<NA>", "")
            self._days[day] = rows.assign(prompt_version=versions)
        return self._days[day]

    def _judged_otherwise(self, rubric: str, day: date) -> list[tuple[str, str]]:
        """Of the fixed calls those of which the judge now says something else."""
        import sqlalchemy as sa

        from llmops_jobs.store.tables import TABLES

        c = TABLES["judge_canary"].c
        query = sa.select(c.trace_id, c.observation_id).where(
            c.project_id == self.marts.project,
            c.day == day,
            c.rubric == rubric,
            c.passed != c.first_passed,
        )
        rows = self.marts.database.read(query.order_by(c.trace_id, c.observation_id).limit(_SHOWN))
        return list(rows.itertuples(index=False, name=None))

    def _failed(self, day: date, scorer: str) -> set[str]:
        import sqlalchemy as sa

        from llmops_jobs.store.tables import TABLES

        c = TABLES["score"].c
        query = sa.select(c.observation_id).where(
            c.project_id == self.marts.project,
            c.day == day,
            c.scorer == scorer,
            c.passed.is_(False),
        )
        return set(self.marts.database.read(query)["observation_id"])


_TELLING = {
    "cost_usd": "reported_cost_usd",
    "cost_per_request": "reported_cost_usd",
    "price_index": "reported_cost_usd",
    "input_tokens_per_request": "input_tokens",
    "output_tokens_per_request": "output_tokens",
    "time_to_first_token_p50": "time_to_first_token_s",
    "time_to_first_token_p95": "time_to_first_token_s",
    "latency_p50": "latency_s",
    "latency_p95": "latency_s",
    "latency_p99": "latency_s",
}


def web_address(base_url: str) -> str:
    """The address when it is one of the web and holds no password, else ''."""
    try:
        parts = urlsplit(base_url)
        web = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        return base_url if web else ""
    except ValueError:
        return ""
