"""Why spend changed: an exact split by the logarithmic mean Divisia index (LMDI-I, additive).

Spend is a sum over cells of products of factors, and each cell's change is divided among its
factors by the logarithmic mean L(a, b) = (a - b) / (ln a - ln b):
effect of x = sum over cells of L(after, before) * ln(x_after / x_before). The effects sum to the
change without a remainder.

Sources: B. W. Ang, "The LMDI approach to decomposition analysis: a practical guide", Energy
Policy 33 (2005) 867-871; for zeros, B. W. Ang and N. Liu, "Handling zero values in the logarithmic
mean Divisia index decomposition approach", Energy Policy 35 (2007) 238-246: the limits used here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NANO = Decimal("0.000000001")


def effects(
    before: Mapping[str, Floats], after: Mapping[str, Floats]
) -> tuple[dict[str, Floats], Floats]:
    """Each factor's effect in every cell, and the part of a cell that no factor explains.

    `before` and `after` hold the same factors in the same order, as arrays over the same cells; a
    cell's value is the product of its factors. A factor that is undefined in a period (a token
    share of a model that was not called) is NaN there and counts as unchanged.

    A cell that is zero in one period gives its whole change to the first factor that is zero
    there, which is the limit as the zero is approached.
    """
    names = list(before)
    x0, x1 = (np.array([side[name] for name in names], dtype=float) for side in (before, after))
    x0, x1 = np.where(np.isnan(x0), x1, x0), np.where(np.isnan(x1), x0, x1)
    undefined = np.isnan(x0)  # in both periods: unchanged
    x0, x1 = np.where(undefined, 1.0, x0), np.where(undefined, 1.0, x1)
    value0, value1 = x0.prod(axis=0), x1.prod(axis=0)
    change = value1 - value0
    split = np.zeros_like(x0)

    both = np.flatnonzero((value0 > 0) & (value1 > 0))
    logs = np.log(x1[:, both]) - np.log(x0[:, both])
    whole = np.log(value1[both]) - np.log(value0[both])
    close = np.abs(whole) < 1e-12
    mean = np.where(
        close,
        (value0[both] + value1[both]) / 2,
        change[both] / np.where(close, 1.0, whole),
    )
    split[:, both] = mean * logs

    one_sided = (change != 0) & ((value0 <= 0) | (value1 <= 0))
    zero = np.where(value0 <= 0, x0 <= 0, x1 <= 0)
    first = zero.argmax(axis=0)
    cells = np.flatnonzero(one_sided & zero.any(axis=0))
    split[first[cells], cells] = change[cells]
    return dict(zip(names, split, strict=True)), change - split.sum(axis=0)


def to_the_nano(
    parts: Mapping[str, float], change: Decimal, order: Sequence[str]
) -> dict[str, Any]:
    """The parts as dollars of nine digits that sum to `change` exactly.

    What rounding leaves goes to the largest part (the first in `order` among equals), so the same
    facts always give the same digits.
    """
    rounded = {name: Decimal(repr(float(parts[name]))).quantize(_NANO) for name in order}
    left = change - sum(rounded.values(), Decimal(0))
    if left:
        largest = max(order, key=lambda name: (abs(rounded[name]), -order.index(name)))
        rounded[largest] += left
    return rounded
