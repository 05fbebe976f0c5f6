"""`llmops spenders`: who spent most over a week, from every call."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llmops_jobs.cli import llmops
from llmops_jobs.config import load
from llmops_jobs.deployment import Deployment
from tests.facts import DAY, PROJECT, facts


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMOPS_CONFIG", raising=False)
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    return Deployment(load())


def spend(home: Deployment, back: int, user: str, usd: str, **rest: Any) -> None:
    day = DAY - timedelta(days=back)
    row = {"day": day, "trace_id": f"t{back}{user}", "observation_id": "o", "user_id": user}
    home.lake.replace_day("observations", PROJECT, day, facts("observations", [row | rest]))
    cost = {**{k: row[k] for k in ("day", "trace_id", "observation_id")}, "cost_usd": Decimal(usd)}
    home.lake.replace_day("costs", PROJECT, day, facts("costs", [cost]))


def spenders(*arguments: str) -> Result:
    return CliRunner().invoke(llmops, ["spenders", "--to", str(DAY), *arguments])


def test_a_week_is_added_up_from_every_call(home: Deployment) -> None:
    spend(home, 0, "once", "3")
    for back in (1, 2, 3, 6):
        spend(home, back, "steady", "1")
    spend(home, 7, "once", "9")  # a day too early
    told = json.loads(spenders("--kind", "user", "--json").output)
    assert (told["first"], told["last"]) == (str(DAY - timedelta(days=6)), str(DAY))
    rows = [(row["rank"], row["subject"], row["requests"]) for row in told["spenders"]]
    assert rows == [(1, "steady", 4), (2, "once", 1)]
    assert [Decimal(row["cost_usd"]) for row in told["spenders"]] == [4, 3]
    assert sum(row["share"] for row in told["spenders"]) == pytest.approx(1)
    text = spenders("--from", str(DAY), "--top", "1").output
    assert "users of test-project" in text and "once" in text and "steady" not in text


def test_evaluation_is_nobodys_spend(home: Deployment) -> None:
    spend(home, 0, "judge", "5", is_evaluation=True)
    assert "nobody spent anything" in spenders().output


def test_what_cannot_be_is_one_line(home: Deployment) -> None:
    spend(home, 0, "al", "1")
    assert spenders("--project", "other").exit_code == 2
    assert PROJECT in spenders("--project", "other").output
    assert spenders("--from", str(DAY + timedelta(days=1))).exit_code == 2
