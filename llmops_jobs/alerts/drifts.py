"""What moved without failing: questions, topics, scores, the judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts

_RARE = 1e-3
# Kind of drift -> what is measured, how much of it and how improbable it must be. Points of share;
# the population stability index (0.25 is the customary "large"); the AUC of today's questions
# against last week's. A judge that changed its mind need not have done so often.
_DRIFTS: Mapping[str, tuple[str, float, float]] = {
    "topic": ("points", 0.1, _RARE),
    "words": ("points", 0.1, 0.01),
    "score": ("statistic", 0.25, _RARE),
    "input": ("statistic", 0.75, _RARE),
    "judge_canary": ("statistic", 1.0, 0.01),
}
_PERHAPS = 0.05
_ASKED = ("topic", "input")  # kinds that are about the questions of all features
_BEFORE = {"words": "in the four weeks before", "judge_canary": "a week before"}


def moved(marts: Marts, day: date) -> Iterator[Finding]:
    rows = [row for row in marts.rows("drift", day) if row["kind"] in _DRIFTS]
    told = {id(row): _drifted(row) for row in rows}
    # What moved in one feature moved the whole: the feature is where.
    features = {row["subject"] for row in rows if row["kind"] == "words" and told[id(row)][0]}
    where = features.pop() if len(features) == 1 else "total"
    for row in rows:
        firing, holding = told[id(row)]
        if not holding:
            continue
        kind = row["kind"]
        scope = row["subject"] if kind == "words" else where if kind in _ASKED else "total"
        yield Finding(
            rule="drift",
            topic={"score": "quality", "judge_canary": "judge"}.get(kind, "drift"),
            labels={"kind": kind, "subject": row["subject"]}
            | ({"quality": row["subject"]} if kind == "judge_canary" else {}),
            firing=firing,
            holding=holding,
            novel=kind == "words",
            severity="info" if kind == "score" else "warning",
            # The topic's words are users' words: they stay in the report's place.
            summary=f"Drift of {kind.replace('_', ' ')} {row['subject']}: from "
            f"{float(row['before'] or 0):.3g} {_BEFORE.get(kind, 'last week')} to "
            f"{float(row['after'] or 0):.3g}",
            value=float(row["after"] or 0),
            threshold=float(row["before"] or 0),
            detail={"scope": scope},
            clear_days=2,
        )


def _drifted(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether it fires, and whether it holds what fired: half as much, at one in twenty."""
    by, floor, chance = _DRIFTS[row["kind"]]
    moved = {
        "points": abs(float(row["after"] or 0) - float(row["before"] or 0)),
        "statistic": float(row["statistic"] or 0),
    }[by]
    p = 1.0 if row["p_value"] is None else float(row["p_value"])
    return moved >= floor and p <= chance, moved >= floor / 2 and p <= _PERHAPS
