"""The series behind the metrics, from marts of their own shape."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.metrics import METRICS
from llmops_jobs.dimensions import DIMENSIONS
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT

BLANK: dict[str, Any] = dict.fromkeys(DIMENSIONS, "") | {"is_evaluation": False}


def _series(database: Database, metric: str, *by: str, within: float | None = None) -> Any:
    marts = Marts(database, PROJECT, DAY, DAY)
    return METRICS[metric].series(marts, by, {}, within).to_dict("records")


def test_votes_of_users_count_and_neutral_ones_and_reviewers_do_not(database: Database) -> None:
    cell = BLANK | {"score_name": "thumb", "traces": 100}
    database.replace_day(
        "feedback_daily",
        PROJECT,
        DAY,
        pd.DataFrame(
            [
                cell | {"source": "API", "n": 50, "positive": 30, "negative": 10},
                cell | {"source": "ANNOTATION", "n": 50, "positive": 0, "negative": 50},
            ]
        ),
    )
    (row,) = _series(database, "positive_rate")
    assert (row["value"], row["n"], row["bad"]) == (0.75, 40, 10)
    assert row["low"] < 0.75 < row["high"]


def test_percentiles_and_slow_shares_come_from_the_histogram(database: Database) -> None:
    gamma = 1.02
    cell = BLANK | {"level": "trace", "metric": "latency", "gamma": gamma}
    database.replace_day(
        "latency_sketch",
        PROJECT,
        DAY,
        pd.DataFrame(
            # Nine hundred of about a second, a hundred of about ten.
            [cell | {"feature": "chat", "n": 1000, "counts": '{"0":900,"117":100}'}]
        ),
    )
    (median,) = _series(database, "latency_p50", "feature")
    assert median["value"] == pytest.approx(1, rel=0.02)
    assert median["feature"] == "chat"
    (high,) = _series(database, "latency_p95")
    assert high["value"] == pytest.approx(10, rel=0.05)
    assert high["low"] <= high["value"] <= high["high"]
    (slow,) = _series(database, "latency", within=5.0)
    assert (slow["value"], slow["bad"]) == (0.1, 100)


def _sums(scope: str, part: str = "scored", **cell: float) -> dict[str, Any]:
    """A hundred answers, each drawn for two, of which `passed` pass."""
    passed = cell.pop("passed", 80.0)
    squares = {"w2": 400.0, "w2_y": 4 * passed, "w2_f": 4 * passed, "w2_ff": 4 * passed}
    sums = {"n": 100, "w": 200.0, "wy": 2 * passed, "wf": 2 * passed, "w2_yf": 0.0, **squares}
    return {"scope": scope, "metric": "grounded", "part": part, **sums, **cell}


def test_pass_rates_are_told_by_quality_metric_and_slice(database: Database) -> None:
    rows = [_sums("feature=chat"), _sums("total", passed=90), _sums("total", "labelled", passed=1)]
    database.replace_day("quality_sums", PROJECT, DAY, pd.DataFrame(rows))
    (row,) = _series(database, "pass_rate", "feature")
    assert (row["feature"], row["quality"], row["value"]) == ("chat", "grounded", 0.8)
    (total,) = _series(database, "pass_rate")
    assert total["value"] == 0.9  # the day's few labels are no part of it
    assert total["low"] < 0.9 < total["high"]


def test_a_sample_of_unequal_weights_counts_for_fewer(database: Database) -> None:
    equal = _sums("total")
    unequal = _sums("total", w2=4000.0, w2_y=3200.0, w2_f=3200.0, w2_ff=3200.0)
    for sums in (equal, unequal):
        database.replace_day("quality_sums", PROJECT, DAY, pd.DataFrame([sums]))
        (row,) = _series(database, "pass_rate")
        assert row["n"] == pytest.approx(100 if sums is equal else 10)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_no_metric_needs_data(database: Database, metric: str) -> None:
    assert _series(database, metric) == []
    earlier = Marts(database, PROJECT, DAY - timedelta(days=3), DAY)
    assert METRICS[metric].series(earlier, (), {}, 1.0).empty


def test_the_report_has_a_way_to_show_every_metric() -> None:
    from llmops_jobs.report.sections.incidents import _UNITS

    assert set(_UNITS) == {metric.unit for metric in METRICS.values()}
