"""The engine for many machines: the same definitions on Spark, over the same Delta files.

The master, memory and credentials are Spark's own configuration (`spark-defaults.conf` in
`SPARK_CONF_DIR`, or `PYSPARK_SUBMIT_ARGS`); without any, Spark runs in this machine's cores. The
files of a day are listed by delta-rs and read as Parquet, so no Delta jar is needed; executors
must reach them under the same address as this process.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from llmops_jobs.errors import ConfigError
from llmops_jobs.lake import schema
from llmops_jobs.lake.engine import Definition, compiled
from llmops_jobs.lake.files import lacking
from llmops_jobs.lake.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

A = TypeVar("A")
B = TypeVar("B")
_STARTING = threading.Lock()
_PACKED: Final = pa.schema([("place", pa.int32()), ("packed", pa.binary())])
#: What makes Spark's answers those of the embedded engine.
_SESSION: Final = {
    "spark.sql.session.timeZone": "UTC",
    # A division by zero is a missing value, not the end of the run.
    "spark.sql.ansi.enabled": "false",
    # A day written in one text form is not to be read as a number.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}


class Spark:
    """Runs definitions on a Spark session that this process keeps."""

    def run(
        self,
        definition: Definition,
        lake: Lake,
        project: str,
        days: Sequence[date],
        extra: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """As `Engine.run`. Floating sums may differ from another engine's in the last digits."""
        extra = extra or {}
        started = _session()  # before compiling, which needs PySpark too
        sql, tables, declared = compiled(
            definition, tuple((name, rows.schema) for name, rows in extra.items()), "pyspark"
        )
        session = started.newSession()  # its views are its own: runs do not meet
        for key, value in _SESSION.items():
            session.conf.set(key, value)
        for table in tables:
            rows = (
                session.createDataFrame(extra[table], _structure(extra[table].schema))
                if table in extra
                else _days(session, lake, table, project, days)
            )
            rows.createOrReplaceTempView(table)
        return _as_declared(session.sql(sql).toArrow(), declared)


def mapped(work: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
    """Each item with what `work` makes of it, in the order of the items, each a task of its own on
    Spark's executors. `work`, items and results travel pickled; a few tasks a core are under way
    at once, and the items are asked for as they are needed."""
    session, waiting = _session(), iter(items)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for place, packed in zip(*(column.to_pylist() for column in batch), strict=True):
                yield _packed([(place, work(pickle.loads(packed)))])

    while wave := list(islice(waiting, 4 * session.sparkContext.defaultParallelism)):
        rows = _packed(enumerate(wave))
        frame = session.createDataFrame(pa.Table.from_batches([rows]), _structure(_PACKED))
        spread = frame.repartitionByRange(len(wave), "place")
        found = spread.mapInArrow(run, _structure(_PACKED)).toArrow().sort_by("place")
        for item, packed in zip(wave, found["packed"].to_pylist(), strict=True):
            yield item, pickle.loads(packed)


def _packed(items: Iterable[tuple[int, Any]]) -> pa.RecordBatch:
    rows = [{"place": place, "packed": pickle.dumps(item)} for place, item in items]
    return pa.RecordBatch.from_pylist(rows, _PACKED)


@cache
def _started() -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise ConfigError(
            "LLMOPS_ENGINE=spark needs PySpark: install llmops-jobs[spark] and a Java runtime"
        ) from None
    import ibis

    # Workers run the Python of this process, where nothing else is said: they need its packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    _ = ibis.pyspark  # the compiler looks up options that are there once its backend is
    return SparkSession.builder.appName("llmops").getOrCreate()


def _session() -> SparkSession:
    with _STARTING:
        return _started()


def _days(
    session: SparkSession, lake: Lake, table: str, project: str, days: Sequence[date]
) -> DataFrame:
    from pyspark.sql import functions as sf

    fields = schema.TABLES[table]
    structure = _structure(fields)
    files = lake.files(table, project, days)
    if not files:
        return session.createDataFrame([], structure)
    read = session.read.schema(structure).option("basePath", lake.uri(table)).parquet(*files)
    for name in lacking(lake, table, files):
        if pa.types.is_string(fields.field(name).type):
            read = read.withColumn(name, sf.coalesce(sf.col(name), sf.lit("")))
    # The id in the path is encoded; the day is read from it.
    return read.withColumn("project_id", sf.lit(project)).select(*fields.names)


def _structure(fields: pa.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(fields, prefer_timestamp_ntz=False)


def _as_declared(rows: pa.Table, declared: pa.Schema) -> pa.Table:
    """The columns in the definition's types: Spark widens counts, and keeps narrow integers."""
    for place, field in enumerate(declared):
        found = rows.schema.field(place).type
        if found != field.type and not pa.types.is_decimal(found):
            rows = rows.set_column(place, field.name, rows.column(place).cast(field.type))
    return rows
