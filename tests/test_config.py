"""The configuration says what is wrong, where, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_jobs.config import Settings, load
from llmops_jobs.errors import ConfigError
from llmops_jobs.ledger.book import load_book


def _load(tmp_path: Path, text: str, **environ: str) -> object:
    path = tmp_path / "llmops.yaml"
    path.write_text(text, encoding="utf-8")
    return load({"LLMOPS_CONFIG": str(path), **environ})


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load({})
    assert settings.database_url == f"sqlite:///{tmp_path}/.llmops/llmops.db"
    assert settings.lake_url == str(tmp_path / ".llmops/lake")
    assert settings.reports_url == str(tmp_path / ".llmops/reports")
    assert [project.name for project in settings.projects] == ["default"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budgts: []", "unknown key budgts: did you mean budgets?"),
        ("budgets: [{name: a, amuont: 3}]", "budgets.0.amuont: did you mean amount?"),
        ("ingest: {lookback_days: many}", "ingest.lookback_days: Input should be a valid integer"),
        ("ingest: {lookback_days: -1}", "ingest.lookback_days: Input should be greater than"),
        ("home: elsewhere", "home is set by the environment: use LLMOPS_HOME"),
        ("- a list", "must hold a mapping of sections, not list"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert said in str(caught.value)
    assert "llmops.yaml" in str(caught.value)


def test_a_missing_file_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which does not exist"):
        load({"LLMOPS_CONFIG": str(tmp_path / "none.yaml")})


def test_an_engine_that_does_not_exist_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LLMOPS_ENGINE='pandas'"):
        _load(tmp_path, "", LLMOPS_ENGINE="pandas")


def test_a_relative_path_starts_beside_the_file_wherever_a_command_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (tmp_path / "prices.yaml").write_text("prices: []", encoding="utf-8")
    settings = _load(
        tmp_path,
        """
        ledger: {price_file: prices.yaml, bills: [{path: /bills/october.csv}]}
        evals:
          formats: [{name: order, json_schema: schemas/order.json}]
          judge: {rubrics: [correctness, rubrics/tone.yaml]}
        """,
    )
    assert isinstance(settings, Settings)
    assert settings.ledger.price_file == str(tmp_path / "prices.yaml")
    assert load_book(settings.ledger).hash
    assert settings.ledger.bills[0].path == "/bills/october.csv"
    assert settings.evals.formats[0].json_schema == str(tmp_path / "schemas/order.json")
    rubrics = ("correctness", str(tmp_path / "rubrics/tone.yaml"))
    assert settings.evals.judge.rubrics == rubrics


def test_one_project_can_be_chosen(tmp_path: Path) -> None:
    text = "projects: [{name: shop}, {name: bank}]"
    settings = _load(tmp_path, text, LLMOPS_PROJECT="bank")
    assert [project.name for project in settings.projects] == ["bank"]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"there is no project zoo .* there are shop, bank"):
        _load(tmp_path, text, LLMOPS_PROJECT="zoo")
