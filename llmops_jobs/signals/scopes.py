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


def scopes_of(cells: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each kind of scope the places of its rows among `cells` (with DIMENSIONS), and the name
    of the scope that each of those is in. A value that is missing is no scope."""
    evaluation = cells["is_evaluation"].to_numpy(bool)
    texts = {name: cells[name].to_numpy(object).astype(str) for name in DIMENSIONS}
    texts["prompt_version"] = np.where(
        texts["prompt_version"] == "",
        "",
        np.char.add(np.char.add(texts["prompt_name"], "@"), texts["prompt_version"]),
    )
    product = np.flatnonzero(~evaluation)
    yield product, np.full(len(product), TOTAL)
    for name in DIMENSIONS:
        if name == "is_evaluation":
            continue
        places = product[texts[name][product] != ""]
        named = np.char.add(f"{name}=", texts[name][places])
        yield places, named.astype(f"<U{LENGTH}")
    internal = np.flatnonzero(evaluation)
    yield internal, np.full(len(internal), "is_evaluation=true")
