"""A lasting change of a daily series, and which of a night's many stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date


@dataclass(frozen=True)
class Change:
    """A change since `day`: `expected` and `value` are what was and what is, `effect` how far
    apart they are in the measure of whoever found it; `low` and `high` bound it at 95 %."""

    scope: str
    metric: str
    day: date
    value: float
    expected: float
    effect: float
    low: float
    high: float
    p_value: float


def standing(found: Sequence[Change], rate: float) -> list[Change]:
    """Those that stand at a false discovery `rate` (Benjamini & Hochberg 1995), in their order,
    with the p-values that say so."""
    from scipy.stats import false_discovery_control

    if not found:
        return []
    corrected = false_discovery_control([change.p_value for change in found])
    return [
        replace(change, p_value=float(p))
        for change, p in zip(found, corrected, strict=True)
        if p <= rate
    ]
