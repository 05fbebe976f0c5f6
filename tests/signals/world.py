"""A small world of traces for tests: rows of the lake from a few plain arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from llmops_jobs.config import Settings
from llmops_jobs.days import start_of
from llmops_jobs.deployment import Deployment
from tests.facts import DAY, PROJECT, START, facts


def deployment(path: Path, **signals: Any) -> Deployment:
    settings = Settings.model_validate({"projects": [{"id": PROJECT}], "signals": signals})
    return Deployment(
        settings.model_copy(
            update={
                "home": str(path),
                "database_url": f"sqlite:///{path}/llmops.db",
                "lake_url": str(path / "lake"),
            }
        )
    )


def call(
    trace: str, name: str = "call", at: float = 0.0, seconds: float = 1.0, **rest: Any
) -> dict[str, Any]:
    """A model call that starts `at` seconds after noon of its day and lasts `seconds`."""
    day: date = rest.pop("day", DAY)
    start = start_of(day) + (START - start_of(DAY)) + timedelta(seconds=at)
    return {
        "day": day,
        "trace_id": trace,
        "observation_id": f"{trace}/{name}@{at:g}",
        "parent_observation_id": f"{trace}/root",
        "name": name,
        "start_time": start,
        "end_time": start + timedelta(seconds=seconds),
        "latency_s": seconds,
        **rest,
    }


def root(trace: str, seconds: float = 3.0, **rest: Any) -> dict[str, Any]:
    """The span that a trace starts with; no model call."""
    row = call(trace, "root", 0.0, seconds, **rest)
    return {
        **row,
        "observation_id": f"{trace}/root",
        "parent_observation_id": "",
        "type": "SPAN",
        "is_root": True,
        "is_model_call": False,
        "model": "",
        "provider": "",
        "prompt_name": "",
        "prompt_version": None,
        "time_to_first_token_s": None,
        "output_tokens": 0,
        **{k: v for k, v in rest.items() if k != "day"},
    }


def vote(trace: str, value: float = 1.0, **rest: Any) -> dict[str, Any]:
    number = rest.pop("number", 0)
    day: date = rest.get("day", DAY)
    return {
        "trace_id": trace,
        "value": value,
        "score_id": f"{trace}-{day}-{number}",
        "timestamp": start_of(day),
        **rest,
    }


def land(home: Deployment, observations: Iterable[Mapping[str, Any]], price: str = "0.01") -> None:
    """Writes observations, and what each model call cost, into the lake, day by day."""
    by_day: dict[date, list[Mapping[str, Any]]] = {}
    for row in observations:
        by_day.setdefault(row["day"], []).append(row)
    for day, rows in by_day.items():
        _replace(home, "observations", day, rows)
        priced = [
            {
                **{k: row[k] for k in ("day", "trace_id", "observation_id")},
                "cost_usd": row.get("cost", Decimal(price)),
            }
            for row in rows
            if row.get("is_model_call", True)
        ]
        _replace(home, "costs", day, priced)


def land_scores(home: Deployment, scores: Iterable[Mapping[str, Any]]) -> None:
    by_day: dict[date, list[Mapping[str, Any]]] = {}
    for row in scores:
        by_day.setdefault(row.get("day", DAY), []).append(row)
    for day, rows in by_day.items():
        _replace(home, "scores", day, rows)


def _replace(home: Deployment, table: str, day: date, rows: list[Mapping[str, Any]]) -> None:
    clean: list[Mapping[str, Any]] = [{k: v for k, v in row.items() if k != "cost"} for row in rows]
    landed: pa.Table = facts(table, clean)
    home.lake.replace_day(table, PROJECT, day, landed)
