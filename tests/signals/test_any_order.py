"""Any split of the days into runs, in any order, run any number of times, gives the same marts."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.signals import histogram, nightly
from tests.facts import DAY, PROJECT
from tests.signals.world import call, deployment, land, land_scores, root, vote

DAYS = [DAY + timedelta(days=n) for n in range(3)]
TABLES = (
    "latency_daily", "latency_histogram", "latency_scope", "trace_daily", "error_daily",
    "error_family", "tool_daily",
    "waste_daily", "rate_limit_hourly", "feedback_given", "feedback_daily",
    "feedback_label_daily", "feedback_moment", "feedback_bias", "unit_cost_daily",
)  # fmt: skip
MESSAGES = (
    "Error code: 429 - Rate limit reached for m in organization org-{}",
    "Request timed out after {} s",
    "The engine is currently overloaded, request {}",
    "JSONDecodeError: Expecting value: line {} column 1",
    "",
)


def traffic(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Three days of traces with retries, fan-outs, tails over midnight, odd numbers, late votes."""
    choose = random.Random(seed)
    rows: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    for day in DAYS:
        for number in range(12):
            trace = f"{day:%d}-{number}"
            shared = {
                "day": day,
                "tenant": choose.choice(["acme", "umbrella", ""]),
                "feature": choose.choice(["chat", "search"]),
                "session_id": choose.choice(["", f"s{choose.randrange(6)}"]),
            }
            if choose.random() < 0.8:
                rows.append(root(trace, seconds=choose.lognormvariate(1, 1), **shared))
            at = 0.0
            for _ in range(choose.randrange(1, 4)):
                failed = choose.random() < 0.35
                seconds = choose.choice([0.0, choose.lognormvariate(0, 1), 1e-3])
                message = choose.choice(MESSAGES).format(choose.randrange(99)) if failed else ""
                rows.append(
                    call(
                        trace,
                        choose.choice(["answer", "plan"]),
                        at=at,
                        seconds=seconds,
                        level="ERROR" if failed else "DEFAULT",
                        status_message=message,
                        finish_reason=choose.choice(["stop", "length"]),
                        model=choose.choice(["big", "small"]),
                        cost=choose.choice([None, Decimal(choose.randrange(1, 999)) / 10**6]),
                        **shared,
                    )
                )
                at += choose.choice([0.5, seconds + 1.0])
            if choose.random() < 0.3:
                failed = choose.choice([{}, {"level": "ERROR", "status_message": "no such page"}])
                kind = {"type": "TOOL", "is_model_call": False, **failed}
                rows.append(call(trace, "browse", at=at, **kind, **shared))
            if day != DAYS[-1] and choose.random() < 0.2:
                late = {**shared, "day": day + timedelta(days=1)}
                rows.append(call(trace, "tail", at=-43_199, **late))
            for given in DAYS:
                if given >= day and choose.random() < 0.15:
                    scores.append(
                        vote(trace, float(choose.random() < 0.7), day=given, number=len(scores))
                    )
                    scores.append(
                        vote(trace, float(choose.randrange(1, 6)), day=given, name="rating",
                             data_type="NUMERIC", number=len(scores))
                    )  # fmt: skip
    unique = {(row["day"], row["trace_id"], row["observation_id"]): row for row in rows}
    return list(unique.values()), scores


def run(home: Deployment, days: list[date]) -> None:
    for step in (
        nightly.write_outcomes,
        nightly.write_latency,
        nightly.write_errors,
        nightly.write_feedback,
        nightly.write_unit_cost,
    ):
        list(step(home, PROJECT, days))


def marts(home: Deployment) -> dict[str, pd.DataFrame]:
    return {name: home.database.table(name) for name in TABLES}


@pytest.mark.parametrize("seed", [1, 2])
def test_any_split_of_days_in_any_order_any_number_of_times(seed: int, tmp_path: Path) -> None:
    rows, scores = traffic(seed)
    expected: dict[str, pd.DataFrame] = {}
    choose = random.Random(seed)
    for attempt in range(2):
        home = deployment(tmp_path / str(attempt))
        shuffled = choose.sample(rows, len(rows))
        land(home, shuffled)
        land_scores(home, choose.sample(scores, len(scores)))
        if attempt == 0:
            run(home, DAYS)
            expected = marts(home)
            for name in set(TABLES) - {"feedback_label_daily"}:
                assert not expected[name].empty, name
            continue
        # Every day at least once, in random order; then some again, in random groups.
        for day in choose.sample(DAYS, len(DAYS)):
            run(home, [day])
        run(home, sorted(choose.sample(DAYS, 2)))
        # What a day says of families and late votes is complete once every day was there.
        run(home, [choose.choice(DAYS)])
        for name, found in marts(home).items():
            pd.testing.assert_frame_equal(found, expected[name], obj=name, check_exact=False,
                                          rtol=1e-12)  # fmt: skip


def test_histograms_of_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    rows, _ = traffic(3)
    home = deployment(tmp_path)
    land(home, rows)
    run(home, DAYS)
    buckets = home.database.table("latency_histogram", level="observation", metric="latency")
    values = np.array([row["latency_s"] for row in rows if row.get("is_model_call", True)])
    assert buckets["n"].sum() == len(values)
    for q in (0.1, 0.5, 0.95):
        found = histogram.quantile(buckets, q)
        assert found == pytest.approx(np.quantile(values, q), rel=0.01, abs=1e-9)
