"""The factors of spend, and how much of a change each of them made.

Spend = sum over models and components of

    logical calls x attempts per logical call x share of attempts on the model
    x tokens per attempt (input, output) x share of the component in its tokens (cache)
    x dollars per token (per attempt for what is not billed by tokens)

which names the factors: volume, retries, model_mix, tokens_per_request, cache, price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from llmops_jobs.ledger.lmdi import Floats, effects
from llmops_jobs.ledger.units import COMPONENTS

Ints = npt.NDArray[np.int64]

FACTORS: Final = (
    *("volume", "retries", "model_mix", "tokens_per_request", "cache", "price", "residual"),
)
TOKENS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")

# Component -> (group of tokens that it is a share of, its own tokens).
_COMPONENT_TOKENS: Final = {
    "input_usd": ("in", "uncached"),
    "cache_read_usd": ("in", "cache_read_tokens"),
    "cache_write_usd": ("in", "cache_write_tokens"),
    "output_usd": ("out", "output_tokens"),
    "other_usd": ("", "requests"),
}


@dataclass(frozen=True)
class Cells:
    """One period's counts by scope and model: `requests`, `logical_calls`, TOKENS, and COMPONENTS
    in nano-dollars. `scope` numbers the scope (of `scopes`) that a cell belongs to."""

    counts: Mapping[str, Ints]
    scope: Ints
    scopes: int

    def in_scope(self, name: str) -> Floats:
        """The sum over the scope, for each of its cells."""
        return self.summed(self.counts[name])[self.scope]

    def summed(self, values: npt.ArrayLike) -> Floats:
        sums: Floats = np.zeros(self.scopes)
        np.add.at(sums, self.scope, np.asarray(values, dtype=float))
        return sums


def by_factor(before: Cells, after: Cells) -> dict[str, Floats]:
    """Dollars of each scope's change that each of FACTORS made. The cells of both are the same."""
    sides = [_factors(side) for side in (before, after)]
    split, rest = effects(*({n: f.ravel() for n, f in side.items()} for side in sides))
    shape = (len(COMPONENTS), len(before.scope))
    # What the product of the factors does not hold (money without the tokens it was billed for).
    money = [np.array([side.counts[name] for name in COMPONENTS]) / 1e9 for side in (before, after)]
    product = [np.prod(np.nan_to_num(list(side.values())), axis=0) for side in sides]
    outside = (money[1] - money[0]) - (product[1] - product[0])
    residual = rest.reshape(shape).sum(axis=0) + outside.sum(axis=0)
    per_cell = {name: part.reshape(shape).sum(axis=0) for name, part in split.items()}
    return {name: after.summed(part) for name, part in {**per_cell, "residual": residual}.items()}


def _factors(cells: Cells) -> dict[str, Floats]:
    """Every factor as an array over (component, cell); NaN where it has no meaning."""
    attempts = cells.counts["requests"].astype(float)
    volume, all_attempts = cells.in_scope("logical_calls"), cells.in_scope("requests")
    tokens = {name: np.maximum(cells.counts[name].astype(float), 0) for name in TOKENS}
    cached = tokens["cache_read_tokens"] + tokens["cache_write_tokens"]
    tokens |= {"requests": attempts, "uncached": np.maximum(tokens["input_tokens"] - cached, 0)}
    group = {"in": tokens["uncached"] + cached, "out": tokens["output_tokens"], "": attempts}
    per_component: dict[str, list[Floats]] = {name: [] for name in FACTORS[:-1]}
    for component, (held, own) in _COMPONENT_TOKENS.items():
        dollars = cells.counts[component].astype(float) / 1e9
        for name, factor in {
            "volume": volume,
            "retries": _ratio(all_attempts, volume),
            "model_mix": _ratio(attempts, all_attempts),
            "tokens_per_request": _ratio(group[held], attempts),
            "cache": _ratio(tokens[own], group[held]),
            "price": _ratio(dollars, tokens[own]),
        }.items():
            per_component[name].append(factor)
    return {name: np.array(parts) for name, parts in per_component.items()}


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
