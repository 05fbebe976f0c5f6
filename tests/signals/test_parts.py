"""A day that is too large for one aggregate comes in parts of whole traces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import files
from llmops_jobs.signals import checks, nightly, outcomes
from tests.facts import DAY, PROJECT, facts
from tests.signals.test_any_order import DAYS, traffic
from tests.signals.world import call, deployment, land, land_scores

Told = list[tuple[date, Mapping[str, Any]]]


@pytest.fixture
def home(tmp_path: Path, no_langfuse: None) -> Deployment:
    """Days of retries and votes, and on the first also calls that state their attempt."""
    home = deployment(tmp_path)
    rows, scores = traffic(3)
    stated = [call(f"said-{n}", at=at) for n in range(9) for at in (0, 1, 900)]
    land(home, [*rows, *stated])
    land_scores(home, scores)
    text = [
        {key: row[key] for key in ("trace_id", "observation_id")}
        | {"metadata": json.dumps({"attempt": place % 3 + 1})}
        for place, row in enumerate(stated)
    ]
    home.lake.replace_day("observation_text", PROJECT, DAY, facts("observation_text", text))
    return home


def ends(home: Deployment) -> pd.DataFrame:
    rows = home.lake.read_days("outcomes", PROJECT, DAYS).to_pandas()
    return rows.sort_values(["day", "trace_id", "observation_id"], ignore_index=True)


def test_parts_give_the_rows_and_the_figures_of_the_whole_day(
    home: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Told = list(nightly.write_outcomes(home, PROJECT, DAYS))
    expected = ends(home)
    assert (expected["attempts"] == 3).sum() >= 27
    assert {"", "failed", "superseded", "user_rejected"} <= set(expected["waste_reason"])
    sizes = [home.lake.count("observations", PROJECT, day) for day in DAYS]
    for limit in (7, sorted(sizes)[1]):  # every day in parts; some of the days
        monkeypatch.setattr(outcomes, "PART_ROWS", limit)
        assert list(nightly.write_outcomes(home, PROJECT, DAYS)) == told
        pd.testing.assert_frame_equal(ends(home), expected)
    assert checks.calls_without_outcome(home, DAYS) == []


def test_a_part_is_smaller_than_the_day_and_has_whole_traces(
    home: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "PART_ROWS", 10)
    where = home.engine, home.lake, PROJECT, [DAY], home.settings.signals
    [(_, parts)] = outcomes.compute(*where)
    traces = [set(part["trace_id"].to_pylist()) for part in parts]
    assert len(traces) == -(-home.lake.count("observations", PROJECT, DAY) // 10)
    assert sum(map(len, traces)) == len(set().union(*traces))
    assert max(map(len, traces)) < len(set().union(*traces)) / 2


def test_a_day_in_parts_is_replaced_at_once(
    home: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(nightly.write_outcomes(home, PROJECT, DAYS))
    expected = ends(home)
    monkeypatch.setattr(outcomes, "PART_ROWS", 10)
    whole, done = outcomes._ends, list[int]()

    def cut_off(*arguments: Any) -> Any:
        if len(done) == 2:
            raise MemoryError
        done.append(1)
        return whole(*arguments)

    monkeypatch.setattr(outcomes, "_ends", cut_off)
    with pytest.raises(MemoryError):
        list(nightly.write_outcomes(home, PROJECT, [DAY]))
    pd.testing.assert_frame_equal(ends(home), expected)


def test_votes_of_a_large_day_are_read_in_parts(
    home: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(nightly.write_outcomes(home, PROJECT, DAYS))
    expected = ends(home)
    whole = files.parts
    monkeypatch.setattr(files, "parts", lambda *arguments: whole(*arguments, rows_at_once=2))
    monkeypatch.setattr(outcomes, "PART_ROWS", 10)
    list(nightly.write_outcomes(home, PROJECT, DAYS))
    pd.testing.assert_frame_equal(ends(home), expected)
