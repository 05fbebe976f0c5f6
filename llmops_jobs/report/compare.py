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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

REFERENCES: Final = 28
ALPHA: Final = 0.05

# A metric's value over a window that ends `shift` days before the report's last day.
Metric = Callable[[int], float | None]


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


def judge(metric: Metric, *, window: int, lag: int, relative: bool) -> Judged:
    """Ranks the change of `metric` from `lag` days before to now among its earlier changes.

    `window` is the metric's length in days: earlier changes start that far back, so that none
    shares a day with now. Without at least 19 earlier changes there is no p-value (19 is the
    least that can reach 0.05).
    """
    now, before = metric(0), metric(lag)
    change = difference(now, before, relative=relative)
    earlier = [
        size
        for shift in range(window, window + REFERENCES)
        if (size := difference(metric(shift), metric(shift + lag), relative=relative)) is not None
    ]
    if change is None or len(earlier) < math.ceil(1 / ALPHA) - 1:
        return Judged(now, before, change, None, len(earlier))
    size = _size(change, relative)
    as_large = sum(_size(other, relative) >= size for other in earlier)
    return Judged(now, before, change, (1 + as_large) / (len(earlier) + 1), len(earlier))


def difference(now: float | None, before: float | None, *, relative: bool) -> float | None:
    if now is None or before is None:
        return None
    if not relative:
        return now - before
    return now / before - 1 if before > 0 else None


def _size(change: float, relative: bool) -> float:
    # Halving and doubling are equally large.
    return abs(math.log(max(1 + change, 1e-9))) if relative else abs(change)
