"""Built-in rules over what other parts of the night have found."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pandas as pd
import pytest

from llmops_jobs.store import Database
from tests.alerts.traffic import evaluated, usage
from tests.facts import DAY, PROJECT


def _calm(database: Database, days: int = 12) -> None:
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


def _versions(database: Database, day: date, staging: str = "production") -> None:
    versions = {"5": "production", "6": staging}
    cell = {"errors": 20, "feature": "chat", "prompt_name": "chat"}
    cells = [cell | {"prompt_version": v, "environment": where} for v, where in versions.items()]
    usage(database, day, cells)


@pytest.mark.parametrize(
    ("caveat", "staging", "incidents"),
    [
        ("", "production", 1),
        ("the versions ran one after the other, not side by side", "production", 0),
        ("", "staging", 0),
    ],
)
def test_a_version_is_accused_only_by_calls_of_the_same_days_and_place(
    database: Database, caveat: str, staging: str, incidents: int
) -> None:
    _calm(database)
    _versions(database, DAY, staging)
    database.replace_day("version_comparison", PROJECT, DAY, _comparison(caveat))
    assert len(evaluated(database)) == incidents


def test_a_version_stays_worse_until_something_says_otherwise(database: Database) -> None:
    _calm(database)
    told = ("worse", "not_enough_data", "worse", "same")
    for ahead, verdict in enumerate(told):
        day = DAY + timedelta(days=ahead)
        _versions(database, day)
        database.replace_day(
            "version_comparison", PROJECT, day, _comparison("").assign(verdict=verdict)
        )
        (found,) = evaluated(database, day)
        assert found["state"] == ("resolved" if verdict == "same" else "open")
    assert sorted(database.table("notification")["kind"]) == ["open", "resolve"]


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
    found = evaluated(database)
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
    (found,) = evaluated(database)
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
    assert evaluated(database) == []


def test_a_new_kind_of_error_of_a_tool_is_news_too(database: Database) -> None:
    _calm(database)
    cell = {"environment": "", "feature": "chat", "tenant": "", "is_evaluation": False}
    cell |= {"type": "TOOL", "tool": "crm", "error_type": "tool_error"}
    for ago, family, n in ((8, "old", 20), (1, "new", 3), (0, "new", 40)):
        rows = [cell | {"family_id": family, "calls": n, "errors": n}]
        database.replace_day("tool_daily", PROJECT, DAY - timedelta(days=ago), pd.DataFrame(rows))
    families = [
        {"family_id": "new", "error_type": "tool_error", "template": "crm <*> timed out"}
        | {"first_seen": DAY - timedelta(days=1), "last_seen": DAY, "example_trace_id": "t"}
    ]
    database.upsert("error_family", pd.DataFrame(families).assign(project_id=PROJECT))
    usage(database, DAY, [*_DAY])
    (found,) = evaluated(database)
    assert (found["rule"], json.loads(found["labels"])) == ("new-error-family", {"family": "new"})
    assert "tool_error, crm <*> timed out (40 on" in found["summary"]
    assert json.loads(found["detail"])["scope"] == "feature=chat"


@pytest.mark.parametrize(
    ("metric", "effect", "incidents"),
    [
        ("latency_p50", 0.4, 1),
        ("latency_p95", -0.5, 0),
        ("time_to_first_token_p95", 0.1, 0),
        ("time_to_first_token_p50", 0.9, 1),
        ("error_rate", 0.1, 1),
        ("requests", 2.0, 0),
    ],
)
def test_a_new_level_is_told_when_it_is_large_and_for_the_worse(
    database: Database, metric: str, effect: float, incidents: int
) -> None:
    _calm(database)
    usage(database, DAY, [*_DAY])
    row = {"scope": "feature=chat", "metric": metric, "detected_on": DAY, "value": 2.0}
    row |= {"expected": 1.0, "effect": effect, "low": 0.1, "high": 3.0, "cause": "release v2"}
    database.replace_day("change_point", PROJECT, DAY - timedelta(days=2), pd.DataFrame([row]))
    found = evaluated(database)
    assert len(found) == incidents
    for each in found:
        assert each["rule"] == "change-point"
        assert f"+{effect:.0%}" in each["summary"] or metric == "error_rate"


def test_a_dearer_model_is_told_whatever_the_mix_of_its_tokens(database: Database) -> None:
    """Twice the output a call is no dearer price; a quarter more for every token is."""

    def night(ago: int, output: int, factor: float) -> None:
        cell = {"model": "m", "input_tokens": 1_000_000, "output_tokens": output}
        money = {"input_usd": 1.0 * factor, "output_usd": output * 5e-6 * factor}
        cells = [{**cell, **money, "cost_usd": sum(money.values())}]
        usage(database, DAY - timedelta(days=ago), cells)

    for ago in range(14, 1, -1):
        night(ago, 100_000 if ago % 3 else 160_000, 1.0)
    night(1, 200_000, 1.0)
    night(0, 90_000, 1.25)
    assert "price-by-model" not in {
        row["rule"] for row in evaluated(database, DAY - timedelta(days=1))
    }
    found = [row for row in evaluated(database) if row["rule"] == "price-by-model"]
    assert [row["summary"] for row in found] == [
        "model m: price of the same tokens, against the two weeks before 1.25, usually 1.00 "
        "(n=1,000)"
    ]


def test_what_is_wrong_with_the_copy_of_a_day_is_one_incident(database: Database) -> None:
    _calm(database)
    usage(database, DAY, [{"errors": 500, "feature": "chat"}, _DAY[1]])
    row = {"rows_here": 6655, "rows_source": 6735, "duplicates": 79, "late_rows": 0}
    row |= {"unexplained": 1, "status": "differs", "detail": "1 came after the pull"}
    database.replace_day("reconciliation", PROJECT, DAY, pd.DataFrame([row]))
    copy, errors = sorted(evaluated(database), key=lambda row: str(row["rule"]))
    assert (copy["rule"], copy["severity"]) == ("duplicate-data", "warning")
    assert set(json.loads(copy["detail"])["rules"]) == {"duplicate-data", "data-completeness"}
    assert errors["rule"] == "error-rate-by-feature"
