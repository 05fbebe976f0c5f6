"""Whether a change is more than the usual ups and downs.

The change of a period against its comparable period (a day against the same weekday a week ago, a
week against the week before) is ranked among the same change on each of the last 28 days. If none
of those was as large, the change is called real: with exchangeable changes this happens by chance
in 1 of 29 cases (a conformal p-value of 0.034; Vovk, Gammerman, Shafer 2005). No distribution is
assumed, the weekly cycle cancels, and a metric that is noisy because few calls stand behind it is
noisy in its own past too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

REFERENCES: Final = 28
ALPHA: Final = 0.05


@dataclass(frozen=True)
class Judged:
    now: float | None
    before: float | None
    change: float | None  # relative, or a difference for rates
    p_value: float | None
    references: int

    @property
    def real(self) -> bool | None:
        return None if self.p_value is None else self.p_value <= ALPHA


def judge(values: np.ndarray, *, window: int, lag: int, relative: bool) -> Judged:
    """Ranks the change of a metric from `lag` days before to now among its earlier changes.

    `values[n]` is the metric over the window that ends n days before the report's last day, NaN
    where it is not known; `window` is that window's length in days: earlier changes start that
    far back, so that none shares a day with now. Without at least 19 earlier changes there is no
    p-value (19 is the least that can reach 0.05).
    """
    known = np.full(window + REFERENCES + lag, np.nan)
    known[: len(values)] = values[: len(known)]
    now, before = _number(known[0]), _number(known[lag])
    change = _number(_changes(known[:1], known[lag : lag + 1], relative)[0])
    span = slice(window, window + REFERENCES)
    earlier = _changes(known[span], known[lag:][span], relative)
    earlier = earlier[~np.isnan(earlier)]
    if change is None or len(earlier) < math.ceil(1 / ALPHA) - 1:
        return Judged(now, before, change, None, len(earlier))
    as_large = int((_sizes(earlier, relative) >= _sizes(np.array([change]), relative)[0]).sum())
    return Judged(now, before, change, (1 + as_large) / (len(earlier) + 1), len(earlier))


def _changes(now: np.ndarray, before: np.ndarray, relative: bool) -> np.ndarray:
    if not relative:
        return now - before
    positive = before > 0
    return np.where(positive, now / np.where(positive, before, 1.0) - 1, np.nan)


def _sizes(changes: np.ndarray, relative: bool) -> np.ndarray:
    # Halving and doubling are equally large.
    return np.abs(np.log(np.maximum(1 + changes, 1e-9))) if relative else np.abs(changes)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
