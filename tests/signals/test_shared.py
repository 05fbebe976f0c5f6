"""What several aggregates start from is computed once, and nothing is known by it but the days."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import engine, shared
from llmops_jobs.signals import histogram, nightly, sketch
from tests.facts import PROJECT, facts
from tests.signals.test_any_order import DAYS, traffic
from tests.signals.world import call, deployment, land, land_scores

TABLES = ("latency_daily", "latency_scope", "trace_daily", "feedback_moment", "unit_cost_daily")


@pytest.fixture
def home(tmp_path: Path, no_langfuse: None) -> Deployment:
    home = deployment(tmp_path)
    rows, scores = traffic(5)
    land(home, rows)
    land_scores(home, scores)
    return home


def marts(home: Deployment) -> dict[str, pd.DataFrame]:
    for step in (nightly.write_latency, nightly.write_feedback, nightly.write_unit_cost):
        list(step(home, PROJECT, DAYS))
    found = {}
    for name in TABLES:
        rows = home.database.table(name, PROJECT, DAYS[0], DAYS[-1])
        found[name] = rows.sort_values(list(rows.columns), ignore_index=True)
        assert len(rows), name
    return found


def test_marts_are_the_same_whether_their_traces_are_kept_or_not(
    home: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = marts(home)
    monkeypatch.setattr(shared, "MOST_ROWS", 0)
    for name, rows in marts(home).items():
        pd.testing.assert_frame_equal(rows, kept[name], obj=name)


def test_traces_are_grouped_once_a_night(home: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    run = engine.DuckDB.run

    def heard(self: engine.DuckDB, definition: engine.Definition, *rest: object) -> object:
        computed.append(definition.__name__)
        return run(self, definition, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.DuckDB, "run", heard)
    marts(home)
    assert computed.count("every_trace") == 1


def test_a_day_that_was_replaced_is_grouped_anew(home: Deployment) -> None:
    before = marts(home)["trace_daily"]["traces"].sum()
    rows = home.lake.read_day("observations", PROJECT, DAYS[0])
    more = facts("observations", [call("one-more", day=DAYS[0])])
    home.lake.replace_day("observations", PROJECT, DAYS[0], pa.concat_tables([rows, more]))
    assert marts(home)["trace_daily"]["traces"].sum() == before + 1


def test_what_is_kept_is_bounded(home: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_MOST_BYTES", 0)
    kept = shared.Kept()
    rows = pa.table({"n": [1, 2]})
    found = [kept.table(marts, home.lake, ["a"], lambda: rows) for _ in range(2)]  # type: ignore[arg-type]
    assert found == [rows, rows]
    assert kept._tables == {}


def test_the_histograms_of_any_slice_are_those_of_its_cells_added_up(home: Deployment) -> None:
    marts(home)
    wanted = {"level": "observation", "metric": "latency"}
    rows = home.database.table("latency_sketch", PROJECT, DAYS[0], DAYS[-1], **wanted)
    for by in ([], ["day"], ["model", "tenant"]):
        expected = histogram.quantiles(sketch.unpacked(rows), by=by)
        read = sketch.read(home.database, PROJECT, DAYS[0], DAYS[-1], by, **wanted)
        found = histogram.quantiles(read, by=by)
        pd.testing.assert_frame_equal(
            found.sort_values(by or ["n"], ignore_index=True),
            expected.sort_values(by or ["n"], ignore_index=True),
        )
    nothing = sketch.read(home.database, "nobody", DAYS[0], DAYS[-1], ["model"], **wanted)
    assert nothing.empty
    assert histogram.quantiles(nothing, by=["model"]).empty
