"""Whether a level moved because other traffic came, not because something got better or worse."""

from __future__ import annotations

from collections.abc import Set
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from llmops_jobs.versions.series import SCOPES

if TYPE_CHECKING:
    import pandas as pd

_BEFORE = 14  # days that say what the mix used to be
_MOVED = 0.05  # share of the calls that is elsewhere than before
_UNUSUAL = 4.0  # and how many times the usual night-to-night difference


def mix_shift(calls: pd.DataFrame, scope: str, day: date, told: Set[str]) -> list[str]:
    """['traffic mix changed: …'] when a scope's calls are of other kinds since `day`, else [].

    `calls` are rows of usage_daily of the scope. The mix is the share of each value of a dimension;
    a value's share has moved when its mean since `day` is far from that of the two weeks before.
    Dimensions in `told` are left out: an event explains them already.
    """
    start = day - timedelta(days=_BEFORE)
    recent = calls[calls["day"] >= start]
    own = scope.partition("=")[0]
    moved: list[tuple[float, str]] = []
    for dimension in (name for name in SCOPES if name != own and name not in told):
        counts = recent.pivot_table(
            index="day", columns=dimension, values="requests", aggfunc="sum", fill_value=0
        )
        share = counts.div(counts.sum(axis=1), axis=0)
        before, after = share[share.index < day], share[share.index >= day]
        if len(before) < 7 or not len(after):
            continue
        shift = after.mean() - before.mean()
        usual = before.std() * np.sqrt(1 / len(before) + 1 / len(after))
        for value in share.columns[(shift.abs() >= _MOVED) & (shift.abs() > _UNUSUAL * usual)]:
            if value:
                text = f"{dimension}={value} {before[value].mean():.0%} → {after[value].mean():.0%}"
                moved.append((-abs(float(shift[value])), text))
    said = ", ".join(text for _, text in sorted(moved)[:2])
    return [f"traffic mix changed: {said}"] if said else []
