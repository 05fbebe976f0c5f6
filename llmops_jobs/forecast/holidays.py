"""Holidays, where a file of dates is given: no ordinary days in the past, nor in the future.

A past holiday is left out of the fit. A future one is an ordinary day of its weekday times what
past ones were of theirs: one effect for all, because a year has few, drawn towards none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.errors import ConfigError

Floats = NDArray[np.float64]

_AROUND = (-14, -7, 7, 14)  # days that say what the day would have been
_SPREAD = 0.3  # of the log effect, before several holidays were seen


def read_holidays(file: str | None) -> frozenset[date]:
    """The dates of a file, one YYYY-MM-DD a line; `#` begins a comment.

    Raises ConfigError that names the file and the line.
    """
    if file is None:
        return frozenset()
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"forecast.holidays: {file} cannot be read: {error}") from error
    found = set()
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.add(date.fromisoformat(text))
        except ValueError:
            raise ConfigError(
                f"forecast.holidays: {file}, line {number}: {text!r} is no day: write YYYY-MM-DD"
            ) from None
    return frozenset(found)


def rows_of(holidays: Collection[date], first: date, days: int) -> NDArray[np.int64]:
    """Row numbers of the holidays among `days` days from `first`."""
    rows = sorted((day - first).days for day in holidays)
    return np.array([row for row in rows if 0 <= row < days], dtype=np.int64)


def effect(total: Floats, holidays: Collection[date], first: date, paths: int, seed: int) -> Floats:
    """`(paths,)`: what a holiday is of an ordinary day, from the total's past `(days,)`."""
    past = rows_of(holidays, first, len(total))
    logs = []
    for row in past:
        near = [
            total[row + offset]
            for offset in _AROUND
            if 0 <= row + offset < len(total)
            and first + timedelta(days=int(row) + offset) not in holidays
        ]
        usual = float(np.nanmedian(near)) if np.isfinite(near).any() else 0.0
        if usual > 0 and total[row] > 0:
            logs.append(float(np.log(total[row] / usual)))
    count = len(logs)
    if count == 0:
        return np.ones(paths)
    middle = float(np.median(logs)) * count / (count + 1.0)
    spread = np.sqrt((np.sum((np.array(logs) - middle) ** 2) + _SPREAD**2) / (count + 1.0))
    draw = np.random.default_rng([seed, 7]).standard_normal(paths)
    return np.asarray(np.exp(middle + spread * draw))
