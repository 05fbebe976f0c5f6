"""A wrong price file is refused with one line that names the file, the entry and what to write."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from llmops_jobs.errors import ConfigError
from llmops_jobs.ledger.book import load_book
from llmops_jobs.ledger.settings import LedgerSettings

PRICE = "per_million_tokens: {input: 1}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prices: [", "is not YAML"),
        (f"prices: [{{match: {{model: '('}}, {PRICE}}}]", r"prices\[0\].match.model: '\('"),
        (f"prices: [{{match: {{model: a}}, from: soon, {PRICE}}}]", r"prices\[0\].from"),
        (
            f"prices: [{{match: {{model: a}}, from: 2026-02-01, to: 2026-01-01, {PRICE}}}]",
            "must be after",
        ),
        ("prices: [{match: {model: a}, per_million_tokens: {inputs: 1}}]", "unknown inputs"),
        ("prices: [{match: {model: a}, per_million_tokens: {input: -1}}]", "not a price"),
        ("prices: [{match: {model: a}, per_million_tokens: {input: cheap}}]", "cheap"),
        ("prices: [{match: {model: a}, per_piece: {hug: 1}}]", "unknown hug"),
        ("prices: [{match: {model: a}}]", "needs prices"),
        (f"prices: [{{match: {{model: a}}, discount: 0.1, {PRICE}}}]", "not both"),
        (f"prices: [{{match: {{model: a}}, currency: EUR, {PRICE}}}]", "usd_rate"),
        (f"prices: [{{match: {{model: a}}, when: {{moon: full}}, {PRICE}}}]", "unknown moon"),
        (f"prices: [{{match: {{model: a}}, form: 2026-01-01, {PRICE}}}]", "valid are .*from"),
        (
            f"prices: [{{match: {{model: a}}, {PRICE}}}, "
            f"{{match: {{model: a}}, from: 2026-05-01, {PRICE}}}]",
            r"prices\[0\] and prices\[1\] both price 'a'",
        ),
        ("- 1", "content"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told) as raised:
        load_book(LedgerSettings(price_file=str(path)))
    assert str(path) in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_book(LedgerSettings(price_file=str(tmp_path / "none.yaml")))


def test_entries_that_follow_each_other_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        f"prices: [{{match: {{model: a}}, to: 2026-05-01, {PRICE}}}, "
        f"{{match: {{model: a}}, from: 2026-05-01, {PRICE}}}]"
    )
    assert len(load_book(LedgerSettings(price_file=str(path))).overrides) == 2


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    settings = LedgerSettings(price_file=str(path))
    path.write_text(f"prices: [{{match: {{model: a}}, {PRICE}}}]")
    first = load_book(settings).hash
    path.write_text("prices: [{match: {model: a}, per_million_tokens: {input: 2}}]")
    assert load_book(settings).hash != first


def test_a_deployment_is_priced_as_the_model_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        """
        prices:
          - {match: {model: support-bot}, price_as: azure/gpt-4o}
          - {match: {model: night-bot}, price_as: deepseek-chat, discount: 0.5}
        """
    )
    book = load_book(LedgerSettings(price_file=str(path)))
    (price,) = book.tiers("azure", "support-bot", date(2026, 9, 1))
    assert price.status == "override" and price.price_id.startswith("own/support-bot@")
    assert book.unit_price("azure", "support-bot", date(2026, 9, 1), "output") == 10
    day, night = (book.tiers("", "night-bot", date(2026, 9, 1), second=s)[0] for s in (43_200, 0))
    assert day.per_unit["input"] == 135_000_000 and night.per_unit["input"] == 67_500_000
    assert book.boundaries("", "night-bot") == book.boundaries("", "deepseek-chat") != ()

    path.write_text("prices: [{match: {model: a}, price_as: gpt-4-omni-nothing}]")
    with pytest.raises(ConfigError, match="nothing' is not in the bundled book"):
        load_book(LedgerSettings(price_file=str(path)))
