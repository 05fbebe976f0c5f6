"""Dagster's SQLite storage, with the events of many partitions written together.

A run over a range has an event for every asset and day, twice: when it is planned and when it is
done. Dagster hands such events on in batches where `DAGSTER_EVENT_BATCH_SIZE` says so, but its
SQLite storage then writes them one by one, each with connections and commits of its own: thousands
of them, most of what a range costs beside the work itself. Here a batch is one transaction a file.
The files are those of Dagster's own storage; either can open what the other wrote.

Named by `storage` in dagster.yaml. Not for Postgres, whose storage knows batches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData

# Dagster collects batches only when told to. Whoever opens this storage wants them.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")


class BatchedEventLog(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that stores a batch of asset events in one transaction."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores asset events together, then any others one by one.

        Dagster stores every event of a batch by itself when this raises: so nothing may be stored
        before what can fail.
        """
        together: dict[tuple[str, DagsterEventType], list[EventLogEntry]] = {}
        others = []
        for event in events:
            kind = event.dagster_event_type
            if kind in ASSET_EVENTS and kind is not None and event.get_dagster_event().asset_key:
                together.setdefault((event.run_id, kind), []).append(event)
            else:
                others.append(event)
        for (run_id, _), same in together.items():
            self._store_together(run_id, same)
        for event in others:
            self.store_event(event)

    def _store_together(self, run_id: str, events: list[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        # The copy that queries over all runs read.
        numbered = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        with self.index_transaction() as connection:
            ids = [int(number) for (number,) in connection.execute(numbered, rows)]
            self._store_asset_event_tags(connection, events, ids)
            # An asset's entry holds its latest event only.
            latest = {
                event.get_dagster_event().asset_key: (event, number)
                for event, number in zip(events, ids, strict=True)
            }
            for event, number in latest.values():
                self._store_asset_event(connection, event, number)


class BatchedSqliteStorage(DagsterSqliteStorage):
    """`DagsterSqliteStorage` (runs, events, schedules under `base_dir`) with `BatchedEventLog`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = BatchedEventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedSqliteStorage:
        return cls.from_local(inst_data=inst_data, **config_value)
