"""Histograms as they are stored: one row each, with the counts as a JSON object, bucket to count.

A row a bucket would be a hundred times as many rows, each under the same dozen keys. In SQL the
view `latency_histogram` takes them apart; here `packed` and `unpacked` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from llmops_jobs.signals import histogram

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """Histograms one after another: `n` values in the `bucket` of the histogram `code`, ordered by
    code and bucket."""

    code: Ints
    bucket: Ints
    n: Ints

    @classmethod
    def added(cls, code: Ints, bucket: Ints, n: Ints) -> Counts:
        """From counts in any order, those of the same bucket added up."""
        if not len(code):
            return cls(code, bucket, n)
        low = int(bucket.min())
        width = int(bucket.max()) - low + 1
        key = code * width + (bucket - low)
        if int(key.max()) < 8 * len(key) + 1_000_000:
            # Few cells for many counts: a bin for each is cheaper than sorting.
            sums = np.bincount(key, weights=n).astype(np.int64)
            key = np.flatnonzero(sums)
            sums = sums[key]
        else:
            order = np.argsort(key, kind="stable")
            key = key[order]
            first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
            key, sums = key[first], np.add.reduceat(n[order], first)
        code, rank = np.divmod(key, width)
        return cls(code, rank + low, sums)

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> Counts:
        """Counts whose codes follow one another."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in
                     ("code", "bucket", "n")))  # fmt: skip

    def quantiles(self, base: float) -> pd.DataFrame:
        """`code`, `n`, percentiles and their intervals, as of `histogram.quantiles`."""
        return histogram.of_sorted(self.code, self.bucket, self.n, base)


def packed(counts: Counts) -> pd.DataFrame:
    """One row a histogram: `code`, `n`, `counts`."""
    first = np.flatnonzero(np.append(True, counts.code[1:] != counts.code[:-1])[: len(counts.code)])
    text = [pa.array(values).cast(pa.string()) for values in (counts.bucket, counts.n)]
    pairs = pc.binary_join_element_wise('"', text[0], '":', text[1], "")
    offsets = pa.array(np.append(first, len(counts.code)).astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, pairs), ",")
    return pd.DataFrame(
        {
            "code": counts.code[first],
            "n": np.add.reduceat(counts.n, first) if len(first) else counts.n,
            "counts": pc.binary_join_element_wise("{", joined, "}", "").to_numpy(False),
        }
    )


def unpacked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with `counts` as one row a bucket, with `bucket` and `n` in its stead."""
    objects: Sequence[dict[str, int]] = orjson.loads("[" + ",".join(rows["counts"]) + "]")
    sizes = np.fromiter((len(each) for each in objects), np.int64, len(objects))
    total = int(sizes.sum())
    bucket = np.fromiter(map(int, chain.from_iterable(objects)), np.int64, total)
    n = np.fromiter(chain.from_iterable(each.values() for each in objects), np.int64, total)
    every = rows.drop(columns=["counts", "n"], errors="ignore")
    repeated = every.take(np.repeat(np.arange(len(rows)), sizes)).reset_index(drop=True)
    return repeated.assign(bucket=bucket, n=n)


def from_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The reverse of `unpacked`: one row for each distinct rest of the columns."""
    keys = [name for name in rows.columns if name not in ("bucket", "n")]
    groups = rows.groupby(keys, sort=False, dropna=False)
    columns = (groups.ngroup(), rows["bucket"], rows["n"])
    counts = Counts.added(*(column.to_numpy(np.int64) for column in columns))
    first = rows[keys].drop_duplicates().reset_index(drop=True)
    return first.join(packed(counts).set_index("code"))
