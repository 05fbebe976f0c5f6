"""Rows as Arrow columns for the metrics: small enough to be kept for every day ever served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.days import Days

if TYPE_CHECKING:
    import pyarrow as pa


class Columns:
    """Tables by day. A day is turned into columns when it is made, so that a question about two
    months does not bring two months of rows back."""

    def __init__(self, days: Days) -> None:
        self.days = days
        self._revision = days.revision
        self._tables: dict[tuple[str, date], pa.Table] = {}
        days.on_fetch = self._keep

    def table(self, kind: str, days: list[date], details: bool = False) -> pa.Table:
        """The rows of `days` (kind: observations or scores), times as milliseconds of the epoch.

        details: with usage and cost by type, which are rarely asked for and never kept.
        """
        import pyarrow as pa

        self._forget_what_changed()
        found = self.days.observations if kind == "observations" else self.days.scores
        tables = []
        for day in days:
            if details:
                rows = list(found(day).rows)
                tables.append(build(kind, rows).append_column(*_map("usageDetails", rows)))
                tables[-1] = tables[-1].append_column(*_map("costDetails", rows))
                continue
            if (kind, day) not in self._tables:
                self._tables[kind, day] = build(kind, list(found(day).rows))
            tables.append(self._tables[kind, day])
        return pa.concat_tables(tables) if tables else build(kind, [])

    def _forget_what_changed(self) -> None:
        before, self._revision = self._revision, self.days.revision
        if before[0] != self._revision[0]:
            self._tables.clear()
        elif before != self._revision:  # only scores are written to the server
            self._tables = {k: v for k, v in self._tables.items() if k[0] == "observations"}

    def _keep(self, kind: str, day: date, rows: Sequence[Row]) -> None:
        if kind == "scores" and self.days.overlay.touches(day):
            return
        if (kind, day) not in self._tables:
            self._tables[kind, day] = build(kind, rows)


def build(kind: str, rows: Sequence[Row]) -> pa.Table:
    import pyarrow as pa

    return pa.table(_observations(rows) if kind == "observations" else _scores(rows))


REPEATED = (
    "environment", "type", "name", "level", "version", "userId", "sessionId", "release",
    "traceName", "model", "promptName",
)  # fmt: skip
DIRECT = {
    "isRootObservation": "isRootObservation", "promptVersion": "promptVersion", "tags": "tags",
    "inputTokens": "inputUsage", "outputTokens": "outputUsage",
    "inputCost": "inputCost", "outputCost": "outputCost", "totalCost": "totalCost",
}  # fmt: skip


def _observations(rows: Sequence[Row]) -> dict[str, Any]:
    import pyarrow as pa

    types = {
        "isRootObservation": pa.bool_(), "promptVersion": pa.int64(),
        "tags": pa.list_(pa.string()), "inputTokens": pa.int64(), "outputTokens": pa.int64(),
        "inputCost": pa.float64(), "outputCost": pa.float64(), "totalCost": pa.float64(),
    }  # fmt: skip
    ids = ("id", "traceId", "parentObservationId")
    times = ("startTime", "endTime", "completionStartTime", "createdAt")
    values = _transposed(rows, (*ids, *REPEATED, *times, *DIRECT.values(), "usageDetails"))
    columns = {key: _texts(values[key]) for key in ids}
    columns |= {key: _texts(values[key]).dictionary_encode() for key in REPEATED}
    columns |= {key: _milliseconds(values[key]) for key in times}
    for column, key in DIRECT.items():
        found = pa.array(values[key], types[column])
        columns[column] = found.fill_null(0) if "Cost" in column else found
    totals = [int(usage.get("total") or 0) for usage in values["usageDetails"]]
    columns["totalTokens"] = pa.array(totals, pa.int64())
    for key in ("toolDefinitions", "toolCalls"):
        counts = [len(row.get(key) or ()) or None for row in rows]
        columns[key] = pa.array(counts, pa.int64())
    return columns


def _transposed(rows: Sequence[Row], keys: tuple[str, ...]) -> dict[str, Sequence[Any]]:
    """A sequence of values for each key, in one pass over the rows."""
    found = list(zip(*map(itemgetter(*keys), rows), strict=True)) or [()] * len(keys)
    return dict(zip(keys, found, strict=True))


def _map(key: str, rows: Sequence[Row]) -> tuple[str, pa.Array]:
    import pyarrow as pa

    pairs = [list(row[key].items()) for row in rows]
    return key, pa.array(pairs, pa.map_(pa.string(), pa.float64()))


def _scores(rows: Sequence[Row]) -> dict[str, Any]:
    import pyarrow as pa

    repeated = ("environment", "name", "source", "dataType", "configId")
    values = _transposed(rows, ("id", *repeated, "timestamp", "createdAt", "subject", "value"))
    columns = {"id": _texts(values["id"])}
    columns |= {key: _texts(values[key]).dictionary_encode() for key in repeated}
    columns |= {key: _milliseconds(values[key]) for key in ("timestamp", "createdAt")}
    subjects = [subject or {} for subject in values["subject"]]
    for column, kind in (
        ("observationId", "observation"),
        ("sessionId", "session"),
        ("runId", "experiment"),
    ):
        ids = [subject["id"] if subject.get("kind") == kind else "" for subject in subjects]
        columns[column] = pa.array(ids, pa.string())
    traces = [
        subject["id"] if subject.get("kind") == "trace" else subject.get("traceId") or ""
        for subject in subjects
    ]
    columns["traceId"] = pa.array(traces, pa.string())
    numbers = [None if isinstance(value, str) else float(value) for value in values["value"]]
    columns["value"] = pa.array(numbers, pa.float64())
    words = [value if isinstance(value, str) else None for value in values["value"]]
    columns["stringValue"] = pa.array(words, pa.string())
    return columns


def _texts(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.string()).fill_null("")


def _milliseconds(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    times = pa.array([value or None for value in values], pa.string())
    return times.cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
