"""OpenTelemetry spans as a source: OTLP/JSON lines, as the collector's file exporter writes them.

The mapping follows the GenAI semantic conventions (development status, as of 1.43) and the
`langfuse.*` attributes where they are set. Costs are not part of the conventions: the price book
fills them. A span is known when it has ended; there are no later versions of it.
"""

from __future__ import annotations

import gzip
import logging
import posixpath
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from typing import Any, Final

import msgspec
import pyarrow as pa

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.api import TEXTS
from llmops_jobs.langfuse.otlp_spans import (
    INPUT,
    OUTPUT,
    first_of,
    id_of,
    metadata_of,
    observation_of,
    scores_of,
    spans_of,
    text_of,
    time_of,
)
from llmops_jobs.langfuse.raw import RAW_OBSERVATIONS, RAW_SCORES, Batch, Reject, row_key

log = logging.getLogger(__name__)

_BATCH: Final = 20_000


class Otlp:
    """A folder of `*.json`, `*.jsonl` files (gzipped or not), by any fsspec URL."""

    def __init__(self, url: str, project_id: str) -> None:
        import fsspec

        self.url, self.project_id = url, project_id
        self._fs, self.root = fsspec.core.url_to_fs(url)
        self._days_of: dict[str, set[date]] = {}
        if not self._fs.exists(self.root):
            raise SourceError(
                f"{url} is not there: set `source.url` to the folder of the collector's files"
            )

    def close(self) -> None:
        """Nothing is held open between calls."""

    def observations(self, day: date) -> Iterator[Batch]:
        for path in self._files_of(day):
            yield from self._batches(path, day, RAW_OBSERVATIONS, observation_of)

    def scores(self, day: date) -> Iterator[Batch]:
        for path in self._files_of(day):
            yield from self._batches(path, day, RAW_SCORES, scores_of)

    def texts(self, wanted: pa.Table) -> pa.Table:
        """See `raw.Source`."""
        pairs = set(
            zip(wanted["trace_id"].to_pylist(), wanted["observation_id"].to_pylist(), strict=True)
        )
        of_days = {start.date() for start in wanted["start_time"].to_pylist()}
        found: dict[tuple[str, str], dict[str, str]] = {}
        for path in sorted({path for day in of_days for path in self._files_of(day)}):
            for span, attributes, _ in self._spans(path, []):
                pair = (id_of(span, "traceId"), id_of(span, "spanId"))
                if pair in pairs:
                    found[pair] = {
                        "trace_id": pair[0],
                        "observation_id": pair[1],
                        "input": text_of(first_of(attributes, INPUT)),
                        "output": text_of(first_of(attributes, OUTPUT)),
                        "metadata": metadata_of(attributes),
                    }
        return pa.Table.from_pylist(list(found.values()), schema=TEXTS)

    @cached_property
    def _files(self) -> list[str]:
        names = ("*.json", "*.jsonl", "*.json.gz", "*.jsonl.gz")
        return sorted({p for n in names for p in self._fs.glob(posixpath.join(self.root, "**", n))})

    def _files_of(self, day: date) -> list[str]:
        """Files that may have spans of a day; once a file was read, it is known."""
        return [path for path in self._files if day in self._days_of.get(path, (day,))]

    def _batches(self, path: str, day: date, schema: pa.Schema, rows_of: Any) -> Iterator[Batch]:
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        seen: set[date] = set()
        for span, attributes, resource in self._spans(path, rejects):
            try:
                start = time_of(span, "startTimeUnixNano")
            except (KeyError, ValueError, TypeError, OverflowError, OSError):
                rejects.append(Reject(row_key(span.get("spanId")), "no usable startTimeUnixNano"))
                continue
            seen.add(start.date())
            rows += rows_of(span, attributes, resource, start, day, self.project_id)
            if len(rows) >= _BATCH:
                yield Batch(pa.Table.from_pylist(rows, schema=schema), rejects)
                rows, rejects = [], []
        if rejects:
            seen.add(day)  # so that a file with refused lines is looked at for every day
        self._days_of[path] = seen
        size = int(self._fs.size(path) or 0)
        yield Batch(pa.Table.from_pylist(rows, schema=schema), rejects, bytes=size)

    def _spans(
        self, path: str, rejects: list[Reject]
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
        """(span, its attributes, its resource's attributes), line by line."""
        with self._fs.open(path, "rb") as raw:
            lines = gzip.GzipFile(fileobj=raw) if path.endswith(".gz") else raw
            try:
                for number, line in enumerate(lines, start=1):
                    if not line.strip():
                        continue
                    try:
                        yield from spans_of(msgspec.json.decode(line))
                    except (msgspec.MsgspecError, UnicodeError, AttributeError, TypeError) as error:
                        place = f"{posixpath.basename(path)}:{number}"
                        rejects.append(Reject(place, f"no OTLP/JSON: {error}"[:300]))
            except (EOFError, OSError) as error:
                # The collector is still writing the file, or died doing so.
                raise SourceError(f"{path} ends in the middle: {error}") from error
