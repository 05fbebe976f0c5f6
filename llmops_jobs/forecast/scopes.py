"""Which scopes a night forecasts, and which values of a dimension each of them adds up."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from llmops_jobs.forecast.history import (
    EVALUATION,
    OTHER,
    TOKEN_TYPES,
    TOKENS,
    TOTAL,
    History,
)
from llmops_jobs.forecast.settings import ForecastSettings

Key = tuple[str, str]  # (metric, scope)
# Key -> the dimension, and the numbers of its values; for total and evaluation, none.
Columns = dict[Key, tuple[str, list[int]]]

_RECENT = 28
_TYPED_MODELS = 5  # whose tokens are forecast by type


def columns(
    history: History,
    settings: ForecastSettings,
    extra: Collection[str],
    metrics: Sequence[str],
    end: int,
) -> Columns:
    """What is forecast from the days before row `end`, each dimension's scopes together.

    The largest values of each dimension singly, those in `extra` too, the rest as one; types of
    token by large models only.
    """
    chosen: Columns = {}
    for metric in metrics:
        typed = metric in TOKEN_TYPES
        if typed and not np.nansum(history.total[metric][:end]) > 0:
            continue
        chosen[metric, TOTAL] = ("", [])
        if not typed:
            window = history.evaluation[TOKENS][max(0, end - settings.history_days) : end]
            if np.nansum(window) > 0:
                chosen[metric, EVALUATION] = ("", [])
        for dimension in ("model",) if typed else history.blocks:
            count = settings.scopes_per_dimension
            count = min(count, _TYPED_MODELS) if typed else count
            for scope, of in _split(history, dimension, count, extra, end).items():
                chosen[metric, scope] = (dimension, of)
    return chosen


def _split(
    history: History, dimension: str, count: int, extra: Collection[str], end: int
) -> dict[str, list[int]]:
    block = history.blocks[dimension]
    wanted = history.largest(dimension, end, count)
    wanted += [
        at
        for at, value in enumerate(block.values)
        if f"{dimension}={value}" in extra and at not in wanted
    ]
    split = {f"{dimension}={block.values[at]}": [at] for at in wanted}
    rest = sorted(set(range(len(block.values))) - set(wanted))
    if rest and np.nansum(block.amounts[TOKENS][max(0, end - _RECENT) : end, rest]) > 0:
        split[f"{dimension}={OTHER}"] = rest
    return split


def dimensions_of(keys: Sequence[Key], metric: str) -> dict[str, slice]:
    """Where the scopes of each dimension stand among the keys."""
    found: dict[str, list[int]] = {}
    for at, (of, scope) in enumerate(keys):
        if of == metric and scope not in (TOTAL, EVALUATION):
            found.setdefault(scope.partition("=")[0], []).append(at)
    return {dimension: slice(at[0], at[-1] + 1) for dimension, at in found.items()}
