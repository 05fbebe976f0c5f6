"""What happened on the day of a change: only what touched those calls, and was known by then."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from llmops_jobs.versions.events import Event, causes, from_labels, from_versions
from llmops_jobs.versions.mix import mix_shift

DAY = date(2026, 3, 1)


def _day(offset: int) -> date:
    return DAY + timedelta(days=offset)


def _seen(shares: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of version_seen: prompt version -> its share on each day, 0 for not seen."""
    rows = [
        {
            "day": _day(offset),
            "prompt_name": "rag",
            "prompt_version": version,
            "request_model": "gpt",
            "model": "gpt",
            "release": "",
            "share": share,
        }
        for version, listed in shares.items()
        for offset, share in enumerate(listed)
        if share
    ]
    return pd.DataFrame(rows)


def test_a_new_version_is_an_event_on_its_first_real_day() -> None:
    seen = _seen({"1": [1.0] * 5 + [0.99, 0.5, 0.0], "2": [0.0] * 5 + [0.01, 0.5, 1.0]})
    assert [(event.day, event.text) for event in from_versions(seen)] == [
        (_day(6), "prompt version rag → 2")
    ]


def test_a_version_on_trial_that_takes_over_is_an_event() -> None:
    seen = _seen({"1": [0.9] * 6 + [0.1] * 3, "2": [0.1] * 6 + [0.9] * 3})
    assert [(event.day, event.text) for event in from_versions(seen)] == [
        (_day(6), "prompt version rag → 2 (10% → 90% of its calls)")
    ]


def test_another_model_that_answers_is_a_swap() -> None:
    seen = _seen({"1": [1.0] * 6})
    seen.loc[seen["day"] >= _day(4), "model"] = "gpt-next"
    assert {(event.day, event.text) for event in from_versions(seen)} == {
        (_day(4), "model gpt-next"),
        (_day(4), "model swap gpt → gpt-next"),
    }


def test_a_label_that_moved_is_an_event() -> None:
    labels = pd.DataFrame(
        [
            {"day": _day(n), "prompt_name": "rag", "label": label, "version": version}
            for n, version in enumerate([3, 3, 4])
            for label in ("production", "latest")
        ]
    )
    assert [event.text for event in from_labels(labels)] == [
        "label production of rag moved from 3 to 4"
    ]


def _calls(shares: list[float]) -> pd.DataFrame:
    rows = []
    for offset, share in enumerate(shares):
        for name, part in (("rag", share), ("chat", 1 - share)):
            rows.append(
                {
                    "day": _day(offset),
                    "prompt_name": name,
                    "feature": name,
                    "model": "gpt",
                    "tenant": "acme",
                    "requests": round(1000 * part),
                }
            )
    return pd.DataFrame(rows)


def test_only_what_touches_the_calls_and_the_metric_is_a_cause() -> None:
    events = [
        Event(_day(5), "prompt version", "rag 4", "prompt_name", "rag"),
        Event(_day(5), "prompt version", "sum 9", "prompt_name", "sum"),
        Event(_day(5), "price", "dearer", "model", "gpt", "cost_"),
        Event(_day(9), "release", "later"),
    ]

    def said(metric: str, as_of: int) -> list[str]:
        calls = _calls([0.5] * 9)
        return [e.text for e in causes(_day(7), metric, events, _day(as_of), calls)]

    assert said("error_rate", 8) == ["rag 4"]
    assert said("cost_per_request", 8) == ["dearer", "rag 4"]
    assert said("error_rate", 9) == ["rag 4", "later"]


def test_other_traffic_is_said_and_usual_traffic_is_not() -> None:
    grown = _calls([0.3] * 14 + [0.5] * 3)
    told = {"prompt_name"}
    assert mix_shift(grown, "total", _day(14), told) == [
        "traffic mix changed: feature=rag 30% → 50%, feature=chat 70% → 50%"
    ]
    swinging = _calls([0.3, 0.5] * 7 + [0.4, 0.5])
    assert mix_shift(swinging, "total", _day(14), told) == []
    inside = grown[grown["feature"] == "rag"]
    assert mix_shift(inside, "feature=rag", _day(14), set()) == []
