"""Writing a day that does not fit in memory: Parquet row group by row group, then one commit.

`write_deltalake` takes in all that it is given before it writes; a day of ten million rows would
not fit. Here the file is written as the rows come, and becomes part of the table with the commit
alone: a writer that dies leaves a file that nobody knows and that the daily upkeep removes.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pyarrow as pa

from llmops_jobs.lake import schema
from llmops_jobs.lake.files import filesystem

if TYPE_CHECKING:
    from llmops_jobs.lake.lake import Lake

_ROW_GROUP: Final = 100_000
# Nearly every row has its own: a dictionary of them is built, found too large and given up.
_IDS: Final = ("trace_id", "observation_id", "logical_call_id")


@dataclass(frozen=True)
class Streamed:
    """A written file that no version of the table has yet."""

    lake: Lake
    table: str
    project: str
    day: date
    path: str
    size: int
    rows: int

    def commit(self) -> None:
        """Replaces the day by the file.

        Raises CommitFailedError when another writer replaced the same day meanwhile.
        """
        from deltalake.transaction import AddAction

        partition: dict[str, str | None] = {"project_id": self.project, "day": self.day.isoformat()}
        added = AddAction(
            path=self.path,
            size=self.size,
            partition_values=partition,
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": self.rows}),
        )
        self.lake.to_write(self.table).create_write_transaction(
            [added] if self.rows else [],
            "overwrite",
            schema.TABLES[self.table],
            partition_by=list(schema.PARTITION),
            partition_filters=[(name, "=", str(value)) for name, value in partition.items()],
        )


def write_stream(
    lake: Lake, table: str, project: str, day: date, parts: Iterable[pa.Table]
) -> Streamed:
    """Writes rows as they come; memory is that of a row group."""
    import pyarrow.parquet as pq

    store = filesystem(lake, table)
    folder = f"project_id={quote(project, safe='')}/day={day.isoformat()}"
    path = f"{folder}/part-{uuid.uuid4()}.zstd.parquet"
    store.create_dir(folder, recursive=True)
    target = schema.TABLES[table]
    inside = pa.schema([field for field in target if field.name not in schema.PARTITION])
    count, waiting = 0, inside.empty_table()
    repeated = [name for name in inside.names if name not in _IDS]
    with (
        store.open_output_stream(path) as sink,
        pq.ParquetWriter(sink, inside, compression="zstd", use_dictionary=repeated) as writer,
    ):
        for part in parts:
            if count:
                # What the rows before held: memory is to be that of a row group.
                pa.default_memory_pool().release_unused()
            count += part.num_rows
            waiting = pa.concat_tables([waiting, part.select(inside.names).cast(inside)])
            if waiting.num_rows >= _ROW_GROUP:
                writer.write_table(waiting, row_group_size=_ROW_GROUP)
                waiting = inside.empty_table()
        writer.write_table(waiting, row_group_size=_ROW_GROUP)
    size = store.get_file_info(path).size
    return Streamed(lake, table, project, day, path, int(size), count)
