"""What the manual shows as configuration is accepted, and mistakes are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from llmops_jobs.signals.settings import SignalSettings

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "signals.md"


def test_the_manuals_example_is_valid() -> None:
    block = re.search(r"```yaml\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    settings = SignalSettings.model_validate(yaml.safe_load(block[1])["signals"])
    assert settings.feedback.positive_labels == ("good", "helpful")


@pytest.mark.parametrize(
    "wrong",
    [
        {"histogram_error": 0},
        {"retry_gap_seconds": -1},
        {"feedback": {"lookback_days": 400}},
        {"feedback": {"scales": [{"name": "(", "positive_from": 4, "negative_to": 2}]}},
        {"feedback": {"scales": [{"name": "stars", "positive_from": 2, "negative_to": 4}]}},
        {"feedback": {"positive_labels": ["good"], "negative_labels": ["Good"]}},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SignalSettings.model_validate(wrong)
