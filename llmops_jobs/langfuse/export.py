"""Langfuse's blob-storage export as a source: Parquet, JSON, JSON lines or CSV, gzipped or not.

Files are windows of event time, not days, overlap at their edges, and are never written again for
rows that came late: they are cut by day here, deduplicated like everything else, and topped up by
the API (`topped_up`). Where there are manifests only the files that they list are read: the
manifest is written last, so a file without one may be half there.

Read with DuckDB, in batches: memory does not grow with the files.
"""

from __future__ import annotations

import json
import logging
import posixpath
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from llmops_jobs import days
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.api import TEXTS
from llmops_jobs.langfuse.export_sql import File, as_json, columns_of, read_file, relation, text_of
from llmops_jobs.langfuse.raw import RAW_OBSERVATIONS, RAW_SCORES, Batch

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

# A window is at most a week long; a file's name is its window's end.
_LONGEST_WINDOW: Final = timedelta(days=7, hours=1)
_FORMATS: Final = {"parquet": "parquet", "json": "json", "jsonl": "json", "csv": "csv"}


class Export:
    """An export's folder, by any fsspec URL. Safe to use from several threads."""

    def __init__(self, url: str, project_id: str, prefix: str = "") -> None:
        import fsspec

        self.url, self.project_id = url, project_id
        if not project_id or {"/", "\\", "*", "?", "["} & set(project_id) or ".." in project_id:
            raise SourceError(f"{project_id!r} is no project id: an export has no such folder")
        self._fs, root = fsspec.core.url_to_fs(url)
        self._is_local = "file" in self._fs.protocol
        self.root = posixpath.join(root.rstrip("/"), f"{prefix}{project_id}")
        if not self._fs.exists(self.root):
            raise SourceError(
                f"{url} has no folder {prefix}{project_id}: set `source.url` to the folder that "
                "the export writes to, and `source.prefix` to the prefix it is configured with"
            )

    def close(self) -> None:
        """Nothing is held open between calls."""

    def observations(self, day: date) -> Iterator[Batch]:
        return self._rows("observations_v2", "start_time", RAW_OBSERVATIONS, day)

    def scores(self, day: date) -> Iterator[Batch]:
        return self._rows("scores", "timestamp", RAW_SCORES, day)

    def texts(self, wanted: pa.Table) -> pa.Table:
        """See `raw.Source`; read from the files of the days of the rows wanted."""
        if not wanted.num_rows:
            return TEXTS.empty_table()
        starts = wanted["start_time"].to_pylist()
        files = self._of_window("observations_v2", min(starts), max(starts))
        found = [TEXTS.empty_table()]
        with self._duckdb() as connection:
            connection.register("wanted", wanted.select(["trace_id", "observation_id"]))
            for file in files:
                held = columns_of(connection, file)
                if not {"input", "output"} <= held.keys():
                    continue
                metadata = as_json("metadata", held)
                trace, own, given, answer = (
                    text_of(name, held) for name in ("trace_id", "id", "input", "output")
                )
                query = (
                    f"SELECT DISTINCT ON (1, 2) t.* FROM (SELECT {trace} AS trace_id, "
                    f"{own} AS observation_id, coalesce({given}, '') AS input, "
                    f"coalesce({answer}, '') AS output, {metadata} AS metadata "
                    f"FROM {relation(file)}) t SEMI JOIN wanted USING (trace_id, observation_id)"
                )
                found.append(connection.sql(query).to_arrow_table().cast(TEXTS))
        return pa.concat_tables(found)

    def _rows(self, table: str, instant: str, target: pa.Schema, day: date) -> Iterator[Batch]:
        first, end = days.start_of(day), days.end_of(day)
        with self._duckdb() as connection:
            for file in self._of_window(table, first, end):
                yield from read_file(connection, file, table, instant, target, first, end)

    @cached_property
    def reaches(self) -> datetime | None:
        """The end of the newest window exported; None when the files' names do not tell."""
        return max((f.end for f in self._files.get("observations_v2", ()) if f.end), default=None)

    def _of_window(self, table: str, first: datetime, end: datetime) -> list[File]:
        return [
            file
            for file in self._files.get(table, ())
            if file.end is None or first <= file.end <= end + _LONGEST_WINDOW
        ]

    @cached_property
    def _files(self) -> dict[str, list[File]]:
        """Files by table, once per opened source: by the manifests, or else by the folders."""
        manifests = sorted(self._fs.glob(posixpath.join(self.root, "manifests", "*.json")))
        return self._listed(manifests) if manifests else self._found()

    def _listed(self, manifests: list[str]) -> dict[str, list[File]]:
        files: dict[str, dict[str, File]] = {}
        for path in manifests:
            try:
                manifest = json.loads(self._fs.cat_file(path))
                listed = manifest["files"]
            except (ValueError, KeyError, TypeError) as error:
                raise SourceError(f"{path} is no manifest of an export: {error}") from error
            for item in listed:
                # A key counts from the bucket; what is behind the project id is what we need.
                inside = str(item["key"]).partition(f"{self.project_id}/")[2]
                whole = posixpath.join(self.root, inside)
                file = _file(self._address(whole), int(item.get("sizeBytes") or 1))
                if file is not None:
                    files.setdefault(str(item["table"]), {})[whole] = file
        missing = [
            file.path for table in files.values() for file in table.values()
            if not self._fs.exists(file.path)
        ]  # fmt: skip
        if missing:
            raise SourceError(
                f"{len(missing)} files that the manifests list are not there, such as {missing[0]}"
            )
        return {table: list(found.values()) for table, found in files.items()}

    def _found(self) -> dict[str, list[File]]:
        files: dict[str, list[File]] = {}
        for table in ("observations_v2", "scores"):
            for path in sorted(self._fs.glob(posixpath.join(self.root, table, "*"))):
                file = _file(self._address(path), int(self._fs.size(path) or 0))
                if file is not None:
                    files.setdefault(table, []).append(file)
        return files

    def _address(self, path: str) -> str:
        return path if self._is_local else str(self._fs.unstrip_protocol(path))

    def _duckdb(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        connection.execute("SET memory_limit = '512MB'; SET threads = 2")
        if not self._is_local:
            connection.register_filesystem(self._fs)
        return connection


def _file(path: str, size: int) -> File | None:
    """A data file by its name `2026-03-05T00-00-00.jsonl.gz`; None for what is none. `path` is
    what DuckDB opens."""
    name = posixpath.basename(path)
    match = re.match(r"(.*?)\.(parquet|jsonl?|csv)(\.gz)?$", name)
    if match is None:
        return None
    try:
        end = datetime.strptime(match[1][:19], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
    except ValueError:
        end = None
    return File(path, _FORMATS[match[2]], end, size)
