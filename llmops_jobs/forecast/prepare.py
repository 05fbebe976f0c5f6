"""From daily amounts to clean logarithms: what a model may be fitted to.

Every array is time-major: `(days, series)`, the last row is the day the forecast is made on. NaN is
a day that was not copied (missing is not zero). What is changed for fitting is reported, never
hidden: an outlier that is set aside here is what `anomalies` shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast.robust import masked_median, moving

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WEEK = 7
RECENT = 56  # days that say whether a series is intermittent
INTERMITTENT = 0.25  # share of zero days from which logarithms stop making sense
_OFFSET = 0.02  # of the median, added where zeros occur, so that a logarithm exists
_OUTLIER_MADS = 6.0
_OUTLIER_LOG = float(np.log(3.0))
_CLOSED = 0.8  # share of zeros that makes a weekday a closed one
_BURSTY = 1.0  # log-standard deviation from day to day beyond which logarithms mislead
_OUTLIER_RUN = 4  # days: longer, and it is a level, not an outlier


@dataclass(frozen=True)
class Prepared:
    """Series ready for the models. Shapes: `(days, series)` and `(series,)`."""

    log: Floats  # log(amount + offset), outliers set to NaN, NaN before the first amount
    offset: Floats  # what was added before the logarithm
    start: NDArray[np.int64]  # first day with an amount; = days where there is none
    observed: NDArray[np.int64]  # days known since then
    intermittent: Bools
    closed: Bools  # (7, series): weekdays (day index mod 7) without use, as weekends often are
    outlier: Bools  # (days, series): set aside
    pending: Bools  # (series,): the newest days stand out, and may be a new level
    pending_log: Floats  # as `log`, read as if a pending jump were a new level


def prepare(amounts: Floats) -> Prepared:
    """Negative amounts (credits) count as zero here; sums of money keep them."""
    amounts = np.maximum(amounts, 0.0)
    days = len(amounts)
    positive = amounts > 0
    start = np.where(positive.any(axis=0), positive.argmax(axis=0), days)
    alive = np.arange(days)[:, None] >= start
    amounts = np.where(alive, amounts, np.nan)
    known = ~np.isnan(amounts)
    zero = known & ~positive

    recent = slice(max(0, days - RECENT), None)
    closed = _closed_weekdays(known[recent], zero[recent], max(0, days - RECENT))
    shut = closed[np.arange(days) % WEEK]
    amounts = np.where(shut, np.nan, amounts)
    open_days = (known & ~shut)[recent].sum(axis=0)
    zero_share = (zero & ~shut)[recent].sum(axis=0) / np.maximum(open_days, 1)
    intermittent = (zero_share > INTERMITTENT) | ~positive[recent].any(axis=0)

    median = masked_median(np.where(amounts > 0, amounts, np.nan), axis=0)
    rare = (zero & ~shut).any(axis=0)
    offset = np.where(rare, _OFFSET * np.nan_to_num(median, nan=1.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(amounts + offset)

    outlier, pending_run, base = _outliers(log)
    pending: Bools = np.any(pending_run, axis=0)
    clean = np.where(outlier | pending_run, np.nan, log)
    return Prepared(
        log=clean,
        offset=offset,
        start=start,
        observed=known.sum(axis=0),
        intermittent=intermittent | _bursty(clean[-RECENT:]),
        closed=closed,
        outlier=outlier,
        pending=pending,
        pending_log=_as_new_level(log, clean, pending_run, base),
    )


def _bursty(log: Floats) -> Bools:
    """Series that jump by factors from one day to the next: bursts of a tenant, not a level."""
    steps = log[1:] - log[:-1]
    count = (~np.isnan(steps)).sum(axis=0)
    rough = np.sqrt(np.nansum(steps**2, axis=0) / np.maximum(count, 1) / 2)
    return (rough > _BURSTY) & (count >= 4)


def _closed_weekdays(known: Bools, zero: Bools, first: int) -> Bools:
    """Weekdays on which at least four of five recent days were zero, where others were not."""
    index = np.arange(first, first + len(known)) % WEEK
    seen = np.stack([known[index == weekday].sum(axis=0) for weekday in range(WEEK)])
    none = np.stack([zero[index == weekday].sum(axis=0) for weekday in range(WEEK)])
    closed = (seen >= 2) & (none >= _CLOSED * seen)
    # Hardly any open day left is no weekly rhythm but a series that died or never lived.
    return closed & (closed.sum(axis=0) <= 4)


def _outliers(log: Floats) -> tuple[Bools, Bools, Floats]:
    """Days far off their neighbourhood for a few days, and back to normal since.

    The neighbourhood is the running median of 15 days plus the median offset of the same weekday in
    the three weeks on either side. Returns (outliers, a run of them that touches the last day,
    the neighbourhood's value).
    """
    days = len(log)
    level = masked_median(moving(log, range(-WEEK, WEEK + 1)), axis=0)
    weekday = masked_median(
        moving(log - level, (-3 * WEEK, -2 * WEEK, -WEEK, WEEK, 2 * WEEK, 3 * WEEK)), axis=0
    )
    base = level + np.nan_to_num(weekday)
    off = log - base
    mad = masked_median(np.abs(off[-120:]), axis=0)
    far = np.abs(off) > np.maximum(_OUTLIER_MADS * mad, _OUTLIER_LOG)
    # Fewer than a week of days is too little to call any of them odd.
    far &= (~np.isnan(log)).sum(axis=0) >= WEEK + 1
    run = np.zeros(log.shape[1], dtype=np.int64)
    length = np.zeros(log.shape, dtype=np.int64)
    for day in range(days):
        run = np.where(far[day], run + 1, np.where(np.isnan(log[day]), run, 0))
        length[day] = run
    for day in range(days - 2, -1, -1):  # every day of a run gets the run's length
        length[day] = np.where(
            (length[day] > 0) & (length[day + 1] > length[day]), length[day + 1], length[day]
        )
    touches = np.zeros(log.shape, dtype=np.bool_)
    if days:
        touching = length[-1]
        touches = np.arange(days)[:, None] >= days - touching
    short = far & (length <= _OUTLIER_RUN)
    return short & ~touches, short & touches & (length <= 2), base


def _as_new_level(log: Floats, clean: Floats, run: Bools, base: Floats) -> Floats:
    """The other reading of a jump on the newest days: all that went before moves to it."""
    jump = masked_median(np.where(run, log - base, np.nan), axis=0)
    moved = clean + np.nan_to_num(jump)
    return np.where(run, log, moved)
