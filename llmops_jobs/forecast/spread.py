"""Choosing parameters for many series on more than one core.

Series do not touch each other, so they are split as they come; the numbers are the same however
many processes work. Only parameters travel back, not sample paths.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from llmops_jobs.forecast import engine
from llmops_jobs.forecast.fit import Fit

Floats = NDArray[np.float64]

_WORTH = 2000  # series from which starting processes pays: below, one is done in seconds
_CHUNK = 64  # series at a time: the trials of the grid then stay in memory


def fit(amounts: Floats, important: NDArray[np.bool_], processes: int = 1) -> Fit:
    """`engine.fit` of `(days, series)`, by `processes` at once where there are many series."""
    cuts = range(0, amounts.shape[1], _CHUNK)
    parts = [(amounts[:, at : at + _CHUNK], important[at : at + _CHUNK]) for at in cuts]
    if processes > 1 and amounts.shape[1] >= _WORTH:
        # Spawned: a forked child would inherit the parent's locks and database connections.
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            return reduce(Fit.extend, pool.map(_fit, parts))
    return reduce(Fit.extend, map(_fit, parts))


def _fit(part: tuple[Floats, NDArray[np.bool_]]) -> Fit:
    from llmops_jobs.forecast.threads import one_thread

    with one_thread():
        return engine.fit(*part)
