"""A large day in parts: the same rows, and the same costs, as the day at once."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from llmops_jobs.config import Settings
from llmops_jobs.lake import Lake, files
from llmops_jobs.ledger.daily import price_day
from tests.facts import facts

DAY = date(2026, 3, 4)


def rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "trace_id": f"t{i:02}",
            "observation_id": f"o{i:02}",
            "model": "gpt-4o",
            "is_model_call": i % 3 > 0,
            "input_tokens": i,
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_parts_are_the_day_in_its_order(
    lake: Lake, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_PART_ROWS", size)
    lake.replace_day("observations", "p", DAY, facts("observations", rows(20)))
    columns = ["day", "observation_id", "input_tokens"]
    parts = list(files.parts(lake, "observations", "p", DAY, columns))
    assert [part.num_rows for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert [row for part in parts for row in part.to_pylist()] == lake.read_day(
        "observations", "p", DAY, columns
    ).to_pylist()
    assert list(files.parts(lake, "observations", "nobody", DAY, columns)) == []


@pytest.mark.parametrize("size", [1, 7])
def test_a_day_priced_in_parts_costs_what_it_costs_at_once(
    lake: Lake, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = SimpleNamespace(lake=lake, settings=Settings())
    lake.replace_day("observations", "p", DAY, facts("observations", rows(20)))
    whole = price_day(home, "p", DAY)  # type: ignore[arg-type]
    costs = lake.read_day("costs", "p", DAY)
    monkeypatch.setattr(files, "_PART_ROWS", size)
    assert price_day(home, "p", DAY) == whole  # type: ignore[arg-type]
    assert lake.read_day("costs", "p", DAY).to_pylist() == costs.to_pylist()
    assert whole["dagster/row_count"] == 13


def test_a_day_without_calls_has_no_costs(lake: Lake) -> None:
    home = SimpleNamespace(lake=lake, settings=Settings())
    assert price_day(home, "p", DAY)["cost_usd"] == 0  # type: ignore[arg-type]
    assert lake.read_day("costs", "p", DAY).num_rows == 0
