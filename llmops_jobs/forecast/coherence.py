"""Parts that add up: one distribution of the total, whichever way it is split.

Each dimension (environment, model, feature, tenant) splits the same spend another way, so their
sums of paths differ a little. The total's path is the mean of the direct forecast and of every
dimension's sum, path by path (all are moved by the same drawn days); then the parts of each
dimension are scaled to it. A total is then the sum of its parts in every single path.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llmops_jobs.forecast.draws import Singles


def reconcile(direct: Singles, parts: Mapping[str, Singles]) -> None:
    """Changes both in place: `direct` `(horizon, paths)` becomes the total, and each of `parts`
    `(values, horizon, paths)` adds up to it. A dimension without values is left as it is."""
    parts = {name: values for name, values in parts.items() if len(values)}
    sums = {name: values.sum(axis=0) for name, values in parts.items()}
    for summed in sums.values():
        direct += summed
    direct /= np.float32(len(sums) + 1)
    for name, values in parts.items():
        summed = sums[name]
        used = summed > 0
        values *= np.divide(direct, summed, out=np.zeros_like(direct), where=used)
        if not used.all():  # nothing to scale: an equal share
            values += np.where(used, 0.0, direct / len(values)).astype(np.float32)
