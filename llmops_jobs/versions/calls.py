"""Calls as columns of numbers: what a night's comparisons are computed from.

A window of four weeks is looked at again every night. Text would be compared and copied again each
time; here it is coded once, when its day is read: names of versions, features and tenants by their
place in a list, users and traces by a 64-bit hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FEEDBACK = "positive_feedback"
PASS = "pass_rate:"  # and the scorer's name
WEIGHT = "scored_weight"  # inverse inclusion probability of a scored call
STANDS_FOR = "stands_for"  # calls that a call stands for: 1, of a sampled day more


@dataclass
class Names:
    """Texts by number, in the order in which they were first met."""

    texts: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def codes(self, values: pd.Series) -> np.ndarray:
        """The number of every value; new texts are added."""
        local, uniques = values.factorize()
        places = [self.place(str(text)) for text in uniques]
        result: np.ndarray = np.array(places, dtype=np.int32)[local]
        return result

    def place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]


@dataclass(frozen=True)
class Calls:
    """Columns of one length. A metric that no call of a part has is absent, else NaN where unknown.

    Numbers of `names`: prompt_name, prompt_version, request_model, model, feature, tenant. Hashes:
    trace, cluster (the user, else the session, else the trace). Others: day (ordinal), hour (UTC),
    error (1 failed), the metrics, a column PASS + scorer (1 passed) each, WEIGHT, STANDS_FOR and
    FEEDBACK.
    """

    columns: dict[str, np.ndarray]
    names: Names

    def __len__(self) -> int:
        return len(self.columns["day"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def take(self, rows: np.ndarray) -> Calls:
        return Calls({name: column[rows] for name, column in self.columns.items()}, self.names)

    def having(self, **more: np.ndarray) -> Calls:
        return Calls({**self.columns, **more}, self.names)

    def text(self, code: int) -> str:
        return self.names.texts[code]


def joined(parts: Sequence[Calls]) -> Calls:
    """The parts one after the other; at least one is needed."""
    names: Iterable[str] = dict.fromkeys(name for part in parts for name in part.columns)
    return Calls(
        {name: np.concatenate([_column(part, name) for part in parts]) for name in names},
        parts[0].names,
    )


def _column(part: Calls, name: str) -> np.ndarray:
    known = part.columns.get(name)
    return np.full(len(part), np.nan) if known is None else known


def identity(*columns: pd.Series) -> np.ndarray:
    """A 64-bit hash of the values of a row: equal rows have equal hashes, and others, but for one
    chance in 10^9 among a hundred thousand, different ones."""
    import pandas as pd

    hashes = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += pd.util.hash_array(column.to_numpy(object), categorize=False)
    return hashes
