"""Whether what the lake holds of a day can still be read.

A pull that finds the source unchanged leaves the lake's day alone. A day whose files were lost or
damaged must not stay so for ever: it is read once, and written again when it cannot be.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_jobs.lake import Lake


def holds(lake: Lake, table: str, project: str, day: date, rows: int) -> bool:
    """Whether the day has `rows` rows and every one can be decoded; memory is that of a row group.

    Changed bytes that still decode are not found: neither Delta nor Parquet, as written, keep a
    checksum of values.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    try:
        if not lake.is_local:
            return lake.read_day(table, project, day).num_rows == rows
        for file in lake.files(table, project, [day]):
            with pq.ParquetFile(file) as parquet:
                count += sum(batch.num_rows for batch in parquet.iter_batches())
    except (OSError, pa.ArrowInvalid):
        return False
    return count == rows
