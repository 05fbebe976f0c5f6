"""Rows as Arrow columns for the metrics: small enough to be kept for every day ever served."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.days import Days
from llmops_jobs.demo.server.order import SortedRows
from llmops_jobs.demo.server.times import instant

if TYPE_CHECKING:
    import pyarrow as pa


class Columns:
    """Tables by day. A day that leaves memory is turned into columns first, so that a question
    about two months does not bring two months of rows back."""

    def __init__(self, days: Days) -> None:
        self.days = days
        self._revision = days.revision
        self._tables: dict[tuple[str, date], pa.Table] = {}
        days.on_eviction = self._keep

    def table(self, kind: str, days: list[date]) -> pa.Table:
        """The rows of `days` (kind: observations or scores). Times are milliseconds of the epoch,
        `createdAt` is wire text."""
        import pyarrow as pa

        self._forget_what_changed()
        tables = []
        for day in days:
            if (kind, day) not in self._tables:
                found = self.days.observations if kind == "observations" else self.days.scores
                self._tables[kind, day] = build(kind, found(day).rows)
            tables.append(self._tables[kind, day])
        return pa.concat_tables(tables) if tables else build(kind, [])

    def _forget_what_changed(self) -> None:
        before, self._revision = self._revision, self.days.revision
        if before[0] != self._revision[0]:
            self._tables.clear()
        elif before != self._revision:  # only scores are written to the server
            self._tables = {k: v for k, v in self._tables.items() if k[0] == "observations"}

    def _keep(self, kind: str, day: date, rows: SortedRows) -> None:
        if getattr(self.days.source, "revision", None) is not None:
            return  # in memory anyway
        if kind == "scores" and self.days.overlay.touches(day):
            return
        if (kind, day) not in self._tables:
            self._tables[kind, day] = build(kind, rows.rows)


def build(kind: str, rows: list[Row]) -> pa.Table:
    import pyarrow as pa

    return pa.table(_observations(rows) if kind == "observations" else _scores(rows))


def _observations(rows: list[Row]) -> dict[str, Any]:
    import pyarrow as pa

    texts = (
        "id", "traceId", "environment", "type", "name", "level", "version", "userId", "sessionId",
        "release", "traceName", "model", "promptName", "parentObservationId", "createdAt",
    )  # fmt: skip
    columns: dict[str, Any] = {
        key: pa.array([row[key] or "" for row in rows], pa.string()) for key in texts
    }
    for key in ("startTime", "endTime", "completionStartTime"):
        columns[key] = pa.array([_milliseconds(row[key]) for row in rows], pa.int64())
    columns["isRootObservation"] = pa.array([row["isRootObservation"] for row in rows], pa.bool_())
    columns["promptVersion"] = pa.array([row["promptVersion"] for row in rows], pa.int64())
    columns["tags"] = pa.array([row["tags"] or [] for row in rows], pa.list_(pa.string()))
    for key, detail, side in (
        ("inputTokens", "usageDetails", "input"),
        ("outputTokens", "usageDetails", "output"),
        ("inputCost", "costDetails", "input"),
        ("outputCost", "costDetails", "output"),
    ):
        kind = pa.int64() if detail == "usageDetails" else pa.float64()
        columns[key] = pa.array([_side(row[detail], side) for row in rows], kind)
    totals = [int(row["usageDetails"].get("total") or 0) for row in rows]
    columns["totalTokens"] = pa.array(totals, pa.int64())
    columns["totalCost"] = pa.array([row["totalCost"] or 0 for row in rows], pa.float64())
    for key in ("usageDetails", "costDetails"):
        pairs = [list(row[key].items()) for row in rows]
        columns[key] = pa.array(pairs, pa.map_(pa.string(), pa.float64()))
    for key in ("toolDefinitions", "toolCalls"):
        counts = [len(row.get(key) or ()) or None for row in rows]
        columns[key] = pa.array(counts, pa.int64())
    return columns


def _scores(rows: list[Row]) -> dict[str, Any]:
    import pyarrow as pa

    texts = ("id", "environment", "name", "source", "dataType", "configId", "createdAt")
    columns: dict[str, Any] = {
        key: pa.array([row[key] or "" for row in rows], pa.string()) for key in texts
    }
    columns["timestamp"] = pa.array([_milliseconds(row["timestamp"]) for row in rows], pa.int64())
    subjects = [row["subject"] or {} for row in rows]
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
    values = [None if isinstance(row["value"], str) else float(row["value"]) for row in rows]
    columns["value"] = pa.array(values, pa.float64())
    words = [row["value"] if isinstance(row["value"], str) else None for row in rows]
    columns["stringValue"] = pa.array(words, pa.string())
    return columns


def _milliseconds(text: str | None) -> int | None:
    return round(instant(text).timestamp() * 1000) if text else None


def _side(details: dict[str, float], side: str) -> float:
    return sum(value or 0 for key, value in details.items() if side in key.lower())
