"""Whether what the lake holds of a day can still be read.

A pull that finds the source unchanged leaves the lake's day alone. A day whose files were lost or
damaged must not stay so for ever: it is read once, and written again when it cannot be.
"""

from __future__ import annotations

import errno
import logging
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake

log = logging.getLogger(__name__)


def holds(lake: Lake, table: str, project: str, day: date, rows: int) -> bool:
    """Whether the day has `rows` rows and every one can be decoded; memory is that of a row group.

    Changed bytes that still decode are not found: neither Delta nor Parquet, as written, keep a
    checksum of values. Raises what is not the file's fault: a disk or a store that does not answer.
    """
    import pyarrow.parquet as pq

    count = 0
    try:
        if not lake.is_local:
            return lake.read_day(table, project, day).num_rows == rows
        for file in lake.files(table, project, [day]):
            with pq.ParquetFile(file) as parquet:
                count += sum(batch.num_rows for batch in parquet.iter_batches())
    except (OSError, pa.ArrowInvalid) as error:
        if not _lost(error):
            raise
        log.warning("%s of %s cannot be read and is written again: %s", table, day, error)
        return False
    return count == rows


def readable(lake: Lake, table: str, project: str, day: date) -> pa.Table:
    """The day, or no row of it when its files are lost or damaged."""
    from llmops_jobs.lake import schema

    try:
        return lake.read_day(table, project, day)
    except (OSError, pa.ArrowInvalid) as error:
        if not _lost(error):
            raise
        log.warning("%s of %s cannot be read and is made again: %s", table, day, error)
        return schema.empty(table)


def _lost(error: Exception) -> bool:
    """A file that is not there or does not decode; Arrow's decoders give no error number."""
    return not isinstance(error, OSError) or error.errno in (None, errno.ENOENT)
