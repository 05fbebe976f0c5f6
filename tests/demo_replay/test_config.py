"""The demo's configuration is one that the project itself accepts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from llmops_jobs import config
from llmops_jobs.demo.replay import Replay
from llmops_jobs.demo.rows import DayRows
from tests.demo_replay.conftest import END


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, replay: Replay) -> Path:
    return replay.write_config(tmp_path_factory.mktemp("home") / "demo")


def test_the_written_file_is_a_valid_configuration(written: Path) -> None:
    settings = config.load({"LLMOPS_CONFIG": str(written), "LLMOPS_HOME": str(written.parent)})
    assert settings.report.title == "Support assistant: quality & cost"
    assert settings.ledger.price_file and Path(settings.ledger.price_file).exists()
    assert {budget.scope for budget in settings.budgets} >= {"total", "feature=agent-tools"}


def test_budgets_follow_from_what_an_ordinary_day_costs(
    written: Path, replay: Replay, ago: Callable[[int], DayRows]
) -> None:
    """Independently of the plan: from the stored costs of a written day."""
    spent: dict[str, float] = {}
    names = {r["traceId"]: r["traceName"] for r in ago(15).observations if r["isRootObservation"]}
    for row in ago(15).observations:
        feature = names.get(row["traceId"]) or ""
        spent[feature] = spent.get(feature, 0) + row["totalCost"]
    month = {feature: usd * 30 for feature, usd in spent.items()}
    assert replay.daily_usd() == pytest.approx(sum(spent.values()), rel=0.3)
    settings = config.load({"LLMOPS_CONFIG": str(written), "LLMOPS_HOME": str(written.parent)})
    amounts = {budget.name: budget.amount for budget in settings.budgets}
    assert month["agent-tools"] > amounts["agents"] * Decimal("1.0")
    assert month["rag-answer"] < amounts["search"]
    assert sum(month.values()) < amounts["all spend"]


def test_the_price_file_changes_the_contract_price_on_the_marked_day(
    written: Path, replay: Replay
) -> None:
    prices = yaml.safe_load((written.parent / "prices.yaml").read_text())["prices"]
    event = next(event for event in replay.events() if event.kind == "price")
    contract = next(price for price in prices if "haiku" in price["match"]["model"])
    assert str(contract["to"]) == event.first_day
    assert contract["per_million_tokens"]["output"] == 4.0
    inhouse = next(price for price in prices if "inhouse" in price["match"]["model"])
    assert inhouse["per_million_tokens"] == {"input": 0.12, "output": 0.36}


def test_list_prices_are_those_of_the_public_price_book() -> None:
    """The catalogue's prices against the installed book at noon (some are lower at night), for
    every model that it knows."""
    from genai_prices import Usage, calc_price

    from llmops_jobs.demo.replay.catalogue import MODELS, SWAPPED

    unknown = set()
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for model in (*MODELS, SWAPPED):
        million = Usage(input_tokens=100_000, output_tokens=100_000)
        try:
            priced = calc_price(
                million,
                model_ref=model.response,
                provider_id=_book_id(model),
                genai_request_timestamp=noon,
            )
        except LookupError:
            unknown.add(model.name)
            continue
        if model.prices and model.usage != "embedding":
            expected = (model.prices["input"] + model.prices["output"]) / 10
            assert float(priced.total_price) == pytest.approx(expected), model.name
    assert unknown == {"qwen3-32b-inhouse", "aurora-1-preview"}


def _book_id(model: object) -> str | None:
    provider = getattr(model, "provider", "")
    known = {"gcp.gemini": "google", "mistral_ai": "mistral"}
    return known.get(provider, provider) if provider not in ("self-hosted", "aurora") else None


def test_prompts_carry_their_labels_as_of_a_day(replay: Replay) -> None:
    def production(back: int) -> dict[str, int]:
        rows = replay.prompts(as_of=END.fromordinal(END.toordinal() - back))
        return {row["name"]: row["version"] for row in rows if "production" in row["labels"]}

    assert production(50)["chat"] == 5
    assert production(45)["chat"] == 6
    assert production(9)["rag-answer"] == 3
    assert production(8)["rag-answer"] == 4
    assert production(5)["summarise"] == 2
    assert production(0) == {
        "agent-tools": 7,
        "chat": 6,
        "extract-json": 2,
        "rag-answer": 4,
        "summarise": 3,
    }


def test_calls_are_linked_to_prompts_that_exist(
    replay: Replay, ago: Callable[[int], DayRows]
) -> None:
    known = {(row["id"], row["name"], row["version"]) for row in replay.prompts()}
    linked = {
        (row["promptId"], row["promptName"], row["promptVersion"])
        for row in ago(5).observations
        if row["promptName"]
    }
    assert linked <= known and len(linked) >= 6
    kinds = {row["type"] for row in ago(5).observations if row["promptName"]}
    assert kinds == {"GENERATION"}


def test_every_kind_of_thing_is_there(replay: Replay) -> None:
    things = replay.things()
    assert {name for name, rows in things.items() if rows} == {
        "prompts",
        "models",
        "score-configs",
        "annotation-queues",
        "datasets",
        "dataset-items",
        "experiment-items",
    }
    assert len(things["experiment-items"]) == 3 * len(things["dataset-items"])
    names = {row["modelName"] for row in things["models"]}
    assert "qwen3-32b-inhouse" in names and "aurora-1-preview" not in names


def test_the_gate_fails_the_regression_and_passes_its_repair(
    written: Path, replay: Replay, tmp_path: Path
) -> None:
    """Through the command, with the rules that the demo writes."""
    files: dict[str, Path] = {}
    for row in replay.experiments():
        name = row["experimentName"]
        files.setdefault(name, tmp_path / f"{name}.jsonl")
        with files[name].open("a") as file:
            for score in row["scores"]:
                value = float(score["value"])
                line = {"item_id": row["experimentItemId"], "metric": score["name"], "value": value}
                file.write(json.dumps(line) + "\n")

    def gate(candidate: str) -> int:
        command = [sys.executable, "-m", "llmops_jobs", "gate"]
        command += ["--baseline", str(files["rag-answer-v3-baseline"])]
        command += ["--candidate", str(files[candidate])]
        command += ["--config", str(written.parent / "gate.yaml")]
        return subprocess.run(command, capture_output=True).returncode

    assert gate("rag-answer-v4-candidate") == 1
    assert gate("rag-answer-v5-candidate") == 0
