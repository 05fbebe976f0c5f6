"""What is random in a forecast: drawn once for a seed, and read by every series and night.

Series of one night share the order of drawn days (`order`), so that what rose together rises
together in a path. What is a series' own is read from one long table of random numbers, from a
place that its name says. Both are the same whatever the horizon, the other series, or the number
of processes; and a night costs no time for drawing.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

Kind = Literal["normal", "tail", "uniform"]
TAIL = 5  # degrees of freedom of `tail`, whose variance is 1
_PLACES = 1 << 18  # where a series may begin to read


class Draws:
    """Random numbers of one seed for a number of sample paths; `(horizon, paths)` everywhere."""

    def __init__(self, seed: int, paths: int) -> None:
        self._seed, self._paths = seed, paths
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._tables: dict[Kind, Singles] = {}

    def order(self, horizon: int, stream: int) -> NDArray[np.int64]:
        """On every day a permutation of the paths: even draws take most of the sampling noise out
        of the quantiles."""
        known = self._orders.get(stream, np.empty((0, self._paths), dtype=np.int64))
        if len(known) < horizon:
            more = [
                np.random.default_rng([self._seed, stream, day]).permutation(self._paths)
                for day in range(len(known), horizon)
            ]
            known = self._orders[stream] = np.concatenate([known, np.stack(more)])
        return known[:horizon]

    def per_path(self, stream: int) -> Singles:
        """A standard normal number for each path."""
        random = np.random.default_rng([self._seed, stream])
        return random.standard_normal(self._paths).astype(np.float32)

    def some(self, share: float, stream: int) -> Bools:
        """Which of the paths a share of them is."""
        order = np.random.default_rng([self._seed, stream]).permutation(self._paths)
        return np.asarray(order < share * self._paths)

    def own(self, kind: Kind, name: str, horizon: int) -> Singles:
        """What is random of one series alone."""
        size = horizon * self._paths
        table = self._tables.get(kind)
        if table is None or len(table) < _PLACES + size:
            table = self._tables[kind] = self._drawn(kind, _PLACES + size)
        place = zlib.crc32(f"{kind}:{name}".encode()) % _PLACES
        return table[place : place + size].reshape(horizon, self._paths)

    def _drawn(self, kind: Kind, size: int) -> Singles:
        """Drawn in one stream, so that a longer table begins with the shorter one."""
        random = np.random.default_rng([self._seed, zlib.crc32(kind.encode())])
        if kind == "normal":
            return random.standard_normal(size, dtype=np.float32)
        if kind == "uniform":
            return random.random(size, dtype=np.float32)
        return (random.standard_t(TAIL, size) * np.sqrt((TAIL - 2) / TAIL)).astype(np.float32)


@lru_cache(maxsize=4)
def draws(seed: int, paths: int) -> Draws:
    """The same object for the same seed: its tables are drawn once a process."""
    return Draws(seed, paths)
