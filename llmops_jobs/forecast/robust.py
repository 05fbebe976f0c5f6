"""Medians over windows of arrays with gaps, without a loop over series."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def masked_median(values: Floats, axis: int) -> Floats:
    """The median of what is not NaN; NaN where nothing is. Quicker than nanmedian, no warnings."""
    ordered = np.sort(values, axis=axis)  # NaN last
    count = (~np.isnan(values)).sum(axis=axis)
    low = np.expand_dims(np.maximum((count - 1) // 2, 0), axis)
    high = np.expand_dims(np.minimum(count // 2, values.shape[axis] - 1), axis)
    picked: Floats = (
        np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)
    ).squeeze(axis) / 2
    return np.where(count > 0, picked, np.nan)


def moving(values: Floats, offsets: Iterable[int]) -> Floats:
    """`(offsets, days, series)`: the series shifted, NaN beyond its ends."""
    days = len(values)
    shifted = []
    for offset in offsets:
        row = np.full(values.shape, np.nan)
        if abs(offset) < days:
            if offset >= 0:
                row[: days - offset] = values[offset:]
            else:
                row[-offset:] = values[:offset]
        shifted.append(row)
    return np.stack(shifted)
