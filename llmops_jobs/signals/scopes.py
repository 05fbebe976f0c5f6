"""The scopes of cells: `total` and `dimension=value` for product traffic, `is_evaluation=true` for
evaluation, which is in no other scope. A version of a prompt is `prompt_version=name@version`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from llmops_jobs.dimensions import DIMENSIONS

TOTAL: Final = "total"
LENGTH: Final = 255


def scopes_of(cells: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray, list[str]]]:
    """For each kind of scope the places of its rows among `cells` (with DIMENSIONS), the number of
    the scope that each of those is in, and the names of these scopes. A value that is missing is
    no scope."""
    evaluation = cells["is_evaluation"].to_numpy(bool)
    product, internal = np.flatnonzero(~evaluation), np.flatnonzero(evaluation)
    yield product, np.zeros(len(product), np.int64), [TOTAL]
    for name in DIMENSIONS:
        if name == "is_evaluation":
            continue
        values = cells[name].to_numpy(object)
        places = product[values[product] != ""]
        told = values[places]
        if name == "prompt_version":
            told = cells["prompt_name"].to_numpy(object)[places] + "@" + told
        code, distinct = pd.factorize(told)
        cut, names = pd.factorize(
            np.array([f"{name}={value}"[:LENGTH] for value in distinct], object)
        )
        yield places, cut[code], list(names)
    yield internal, np.zeros(len(internal), np.int64), ["is_evaluation=true"]
