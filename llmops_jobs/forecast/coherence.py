"""Parts that add up: one distribution of the total, whichever way it is split.

Each dimension (environment, model, feature, tenant) splits the same spend another way, so their
sums of paths differ a little. The total's path is the mean of the direct forecast and of every
dimension's sum, path by path (all are moved by the same drawn days); then the parts of each
dimension are scaled to it. A total is then the sum of its parts in every single path.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def reconcile(direct: Floats, parts: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    """`direct` is `(paths, horizon)`, each of `parts` `(values, paths, horizon)`.

    Returns the total and the scaled parts. A dimension without values is left as it is.
    """
    sums = {name: values.sum(axis=0) for name, values in parts.items() if len(values)}
    total = np.mean([direct, *sums.values()], axis=0)
    scaled = dict(parts)
    for name, summed in sums.items():
        share = np.divide(total, summed, out=np.zeros_like(total), where=summed > 0)
        even = np.where(summed > 0, 0.0, total / len(parts[name]))
        scaled[name] = parts[name] * share + even
    return total, scaled
