"""Histograms as they are stored: one row each, with the counts as a JSON object, bucket to count.

A row a bucket would be a hundred times as many rows, each under the same dozen keys. In SQL the
view `latency_histogram` takes them apart; here `packed` and `unpacked` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from llmops_jobs.signals import histogram
from llmops_jobs.store.tables import TABLES

if TYPE_CHECKING:
    from llmops_jobs.store import Database

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
    sizes, bucket, n = _parsed(rows["counts"])
    every = rows.drop(columns=["counts", "n"], errors="ignore")
    repeated = every.take(np.repeat(np.arange(len(rows)), sizes)).reset_index(drop=True)
    return repeated.assign(bucket=bucket, n=n)


def read(
    database: Database,
    project: str,
    first: date,
    last: date,
    by: Sequence[str] = (),
    **equal: Any,
) -> pd.DataFrame:
    """The histograms of the days [first, last] added up to the groups of `by` (dimensions, `day`,
    `level`, `metric`), of the rows of latency_sketch whose columns `equal` says: one row a bucket,
    as `histogram` takes them."""
    c = TABLES["latency_sketch"].c
    query = sa.select(*(c[name] for name in by), c.gamma, c.counts).where(
        c.project_id == project, c.day >= first, c.day <= last
    )
    for name, value in equal.items():
        query = query.where(c[name] == value)
    return added_up(database.read(query), by)


def added_up(rows: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Rows with `counts` and `gamma` added up to the groups of `by`: one row a bucket, as
    `histogram` takes them. A month of cells is thousands of times as many buckets as it has
    groups: none of them gets a row."""
    keys = [*by, "gamma"]
    group = rows.groupby(keys, dropna=False).ngroup().to_numpy()
    sizes, bucket, n = _parsed(rows["counts"])
    buckets, rank = _ranked(bucket)
    counts = Counts.added(np.repeat(group, sizes), rank, n)
    first = np.unique(group, return_index=True)[1]
    found = rows[keys].iloc[first[counts.code]].reset_index(drop=True)
    return found.assign(bucket=buckets[counts.bucket], n=counts.n)


def _ranked(bucket: Ints) -> tuple[Ints, Ints]:
    """The distinct buckets in order, and the place among them of each: those of zero and of
    negative values lie a million away from the others."""
    coded = pc.dictionary_encode(pa.array(bucket))
    distinct = coded.dictionary.to_numpy()
    order = np.argsort(distinct)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return distinct[order], place[coded.indices.to_numpy()]


_TO_LINES: Final = bytes.maketrans(b",", b"\n")


def _parsed(counts: pd.Series) -> tuple[Ints, Ints, Ints]:
    """How many buckets each text has, and all buckets and counts, in their order."""
    import pyarrow.csv as pa_csv

    texts = pa.array(counts, pa.string())
    sizes = pc.count_substring(texts, ":").to_numpy()
    if not int(sizes.sum()):
        return sizes.astype(np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    # Flat objects of integers, as `packed` writes them, are lines of two numbers in disguise.
    lines = ",".join(counts).encode().translate(_TO_LINES, b'{}"')
    pairs = pa_csv.read_csv(
        pa.py_buffer(lines),
        read_options=pa_csv.ReadOptions(column_names=["bucket", "n"]),
        parse_options=pa_csv.ParseOptions(delimiter=":"),
        convert_options=pa_csv.ConvertOptions(column_types={"bucket": pa.int64(), "n": pa.int64()}),
    )
    return sizes.astype(np.int64), pairs["bucket"].to_numpy(), pairs["n"].to_numpy()


def from_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The reverse of `unpacked`: one row for each distinct rest of the columns."""
    keys = [name for name in rows.columns if name not in ("bucket", "n")]
    groups = rows.groupby(keys, sort=False, dropna=False)
    columns = (groups.ngroup(), rows["bucket"], rows["n"])
    counts = Counts.added(*(column.to_numpy(np.int64) for column in columns))
    first = rows[keys].drop_duplicates().reset_index(drop=True)
    return first.join(packed(counts).set_index("code"))
