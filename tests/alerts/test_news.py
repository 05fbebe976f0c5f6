"""Built-in rules over what other parts of the night have found."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from llmops_jobs.alerts.evaluate import evaluate_day
from llmops_jobs.alerts.settings import AlertSettings
from llmops_jobs.store import Database
from tests.alerts.traffic import usage
from tests.facts import DAY, PROJECT


def _evaluate(database: Database, day: date = DAY) -> list[dict[str, Any]]:
    now = datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)
    evaluate_day(database, AlertSettings(), PROJECT, day, now=now)
    return database.table("incident").to_dict("records")  # type: ignore[return-value]


def _calm(database: Database, days: int = 9) -> None:
    for ago in range(1, days + 1):
        usage(database, DAY - timedelta(days=ago), [*_DAY])


_DAY = ({"errors": 20, "feature": "chat"}, {"errors": 20, "feature": "search"})


def _comparison(caveat: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"subject": "prompt:chat", "baseline": "5", "candidate": "6", "metric": "error_rate"}
            | {"slice": "total", "n_baseline": 900, "n_candidate": 900, "difference": 0.02}
            | {"low": 0.01, "high": 0.03, "verdict": "worse", "caveat": caveat}
        ]
    )


@pytest.mark.parametrize(
    ("caveat", "incidents"),
    [("", 1), ("the versions ran one after the other, not side by side", 0)],
)
def test_a_version_is_accused_only_by_calls_of_the_same_days(
    database: Database, caveat: str, incidents: int
) -> None:
    _calm(database)
    usage(database, DAY, [*_DAY])
    database.replace_day("version_comparison", PROJECT, DAY, _comparison(caveat))
    assert len(_evaluate(database)) == incidents


def _budget(period: str) -> pd.DataFrame:
    end = DAY + timedelta(days=1 if period == "day" else 28)
    return pd.DataFrame(
        [
            {"as_of": DAY, "budget": "all", "scope": "total", "period_start": DAY}
            | {"period_end": end, "amount_usd": 20.0, "spent_usd": 30.0, "status": "over"}
            | {"probability_over": 1.0, "owner": "", "time_zone": "UTC"}
        ]
    )


@pytest.mark.parametrize(("period", "incidents"), [("day", 1), ("month", 2)])
def test_the_budget_of_a_day_belongs_to_the_spend_that_overran_it(
    database: Database, period: str, incidents: int
) -> None:
    _calm(database)
    usage(database, DAY, [{"errors": 80, "feature": "chat", "requests": 4000}, _DAY[1]])
    database.upsert("budget_status", _budget(period).assign(project_id=PROJECT))
    found = _evaluate(database)
    assert len(found) == incidents
    spend = next(row for row in found if row["rule"] != "budget")
    assert spend["rule"].startswith("spend-by-")
    assert spend["severity"] == ("critical" if period == "day" else "warning")


def test_a_new_kind_of_error_speaks_first_and_says_where_it_is(database: Database) -> None:
    _calm(database)
    cell = dict.fromkeys(("environment", "provider", "model", "prompt_name", "tenant"), "")
    cell |= {"prompt_version": "", "feature": "chat", "is_evaluation": False}
    for ago, family, n in ((8, "old", 20), (0, "new", 120)):
        rows = [cell | {"error_type": "unknown", "family_id": family, "requests": n, "errors": n}]
        database.replace_day("error_daily", PROJECT, DAY - timedelta(days=ago), pd.DataFrame(rows))
    families = [
        {"family_id": "new", "error_type": "unknown", "template": "tool <*> refused"}
        | {"first_seen": DAY, "last_seen": DAY, "example_trace_id": "t", "project_id": PROJECT}
    ]
    database.upsert("error_family", pd.DataFrame(families))
    usage(database, DAY, [{"errors": 140, "feature": "chat"}, _DAY[1]])
    (found,) = _evaluate(database)
    assert found["rule"] == "new-error-family"
    detail = json.loads(found["detail"])
    assert detail["scope"] == "feature=chat"
    assert set(detail["rules"]) >= {"new-error-family", "error-rate-by-feature"}


def test_a_small_slice_with_a_few_more_errors_than_usual_is_chance(database: Database) -> None:
    for ago in range(1, 15):
        errors = 1 if ago % 2 else 2
        usage(
            database,
            DAY - timedelta(days=ago),
            [{"tenant": "small", "requests": 120, "errors": errors}, {"tenant": "big"}],
        )
    usage(database, DAY, [{"tenant": "small", "requests": 120, "errors": 9}, {"tenant": "big"}])
    assert _evaluate(database) == []
