"""Days of more calls than the limit: a sample of traces that says the same about the day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from llmops_jobs.deployment import Deployment
from llmops_jobs.versions.calls import PASS, STANDS_FOR, Calls
from llmops_jobs.versions.compare import OF_A_SAMPLE, Night, compare
from llmops_jobs.versions.traffic import Traffic
from tests.facts import DAY, PROJECT, facts

LIMIT, LARGE, SMALL, TEXTS = 1000, 12_000, 900, 60
BEFORE = DAY - timedelta(days=1)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A small day, mostly of version 1, and one of more than the limit, where version 2 is longer.
    Of either, some calls are scored; version 2 passes less often."""
    patch = pytest.MonkeyPatch()
    patch.setenv("LLMOPS_HOME", str(tmp_path_factory.mktemp("home")))
    patch.delenv("LLMOPS_CONFIG", raising=False)
    rng = np.random.default_rng(1)
    lake, database = _home(LIMIT).lake, _home(LIMIT).database
    for day, size, share in ((BEFORE, SMALL, 0.1), (DAY, LARGE, 0.5)):
        calls = []
        for n in range(size):
            version = 1 + int(rng.random() < share)
            calls.append(
                {
                    "day": day,
                    "trace_id": f"t{day}{n // 4}",
                    "observation_id": f"o{day}{n}",
                    "user_id": f"u{n // 4 % 200}",
                    "feature": f"f{n // 4 % 3}",
                    "prompt_version": version,
                    "output_tokens": int(rng.poisson(120 if version == 1 else 150)),
                }
            )
        lake.replace_day("observations", PROJECT, day, facts("observations", calls))
        verdicts = [
            {
                "trace_id": call["trace_id"],
                "observation_id": call["observation_id"],
                "scorer": "grounded",
                "scorer_version": "1",
                "value": 1.0,
                "label": "",
                "passed": bool(rng.random() < (0.95 if call["prompt_version"] == 1 else 0.3)),
                "reason": "",
                "status": "ok",
                "cost_usd": 0,
                "inclusion_probability": TEXTS / size,
            }
            for call in (calls[place] for place in rng.choice(size, TEXTS, replace=False))
        ]
        database.replace_day("score", PROJECT, day, pd.DataFrame(verdicts))
    yield
    patch.undo()


def _home(limit: int) -> Deployment:
    deployment = Deployment.from_environment()
    versions = deployment.settings.versions.model_copy(update={"calls_per_day": limit})
    return Deployment(deployment.settings.model_copy(update={"versions": versions}))


def _window(limit: int, day: date = DAY) -> Calls:
    return Traffic(_home(limit), PROJECT, DAY).window(day, 2)


def _night(limit: int) -> Night:
    return compare(_window(limit), DAY, _home(limit).settings.versions, {})


def _row(night: Night, metric: str) -> pd.Series:
    rows = night.comparisons
    return rows[(rows["metric"] == metric) & (rows["slice"] == "total")].iloc[0]


def test_a_large_day_is_held_to_the_limit_and_stands_for_all_of_its_calls() -> None:
    calls = _window(LIMIT)
    large = calls["day"] == DAY.toordinal()
    # The limit, by chance some more or fewer, and the whole traces of what was scored.
    assert 0.8 * LIMIT < large.sum() < 1.2 * LIMIT + 4 * TEXTS
    assert calls[STANDS_FOR][large].sum() == pytest.approx(LARGE, rel=0.1)
    assert (np.unique(calls["trace"][large], return_counts=True)[1] == 4).all()
    assert (~large).sum() == SMALL
    assert (calls[STANDS_FOR][~large] == 1).all()


def test_the_same_traces_are_drawn_again_whatever_is_read_with_them() -> None:
    once, again = _window(LIMIT), Traffic(_home(LIMIT), PROJECT, DAY).window(DAY, 1)
    large = once["day"] == DAY.toordinal()
    assert once["trace"][large].tolist() == again["trace"].tolist()


def test_every_scored_call_is_kept() -> None:
    calls = _window(LIMIT)
    scored = np.isfinite(calls[f"{PASS}grounded"])
    assert scored.sum() == 2 * TEXTS
    assert (calls[STANDS_FOR][scored] == 1).all()
    whole, sample = _row(_night(LARGE), f"{PASS}grounded"), _row(_night(LIMIT), f"{PASS}grounded")
    assert sample.drop("caveat").equals(whole.drop("caveat"))


def test_a_sample_says_what_all_calls_say_and_that_it_is_one() -> None:
    whole, sample = _row(_night(LARGE), "output_tokens"), _row(_night(LIMIT), "output_tokens")
    assert sample["verdict"] == whole["verdict"] == "worse"
    assert sample["low"] < whole["difference"] < sample["high"]
    assert OF_A_SAMPLE not in whole["caveat"]
    held = len(_window(LIMIT))
    assert f"{OF_A_SAMPLE}, {held:,} of about " in sample["caveat"]
    assert "(days of more than 1,000 are sampled)" in sample["caveat"]


def test_a_sampled_day_weighs_as_much_beside_a_small_one_as_it_did() -> None:
    """Unweighted, the small day would be half of the window: it is a fourteenth."""
    whole, sample = (_night(limit).balance.set_index("covariate") for limit in (LARGE, LIMIT))
    weekdays = [abs(night.loc["weekday", "smd_before"]) for night in (whole, sample)]
    assert weekdays[1] == pytest.approx(weekdays[0], abs=0.05)
    calls = _window(LIMIT)
    small = calls["day"] == BEFORE.toordinal()
    share = calls[STANDS_FOR][small].sum() / calls[STANDS_FOR].sum()
    assert share == pytest.approx(SMALL / (SMALL + LARGE), abs=0.01)


def test_what_is_read_ahead_ends_with_the_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of large days is not read at once."""
    monkeypatch.setattr("llmops_jobs.lake.batches.batches.__defaults__", (1,))
    traffic = Traffic(_home(LIMIT), PROJECT, DAY)
    traffic.window(BEFORE, 1)
    assert list(traffic._calls) == [BEFORE]
    assert len(traffic.window(DAY, 2)) > SMALL
