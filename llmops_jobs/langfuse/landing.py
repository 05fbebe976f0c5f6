"""One day of one source -> the lake and the record of the pull, in an order that a crash cannot
turn into a wrong answer.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs import days
from llmops_jobs.lake import Lake
from llmops_jobs.lake.check import holds
from llmops_jobs.langfuse.gather import Gathered
from llmops_jobs.langfuse.raw import Reject
from llmops_jobs.store import Database

# Columns that move without meaning: a row that only they distinguish has not changed.
_RESTLESS: Final = ("created_at", "updated_at")
# When the nightly run pulls a day for the first time: rows written later are late.
DUE: Final = timedelta(hours=1, minutes=30)
#: From a part's drafts to its rows, and how many duplicates were dropped.
Finish = Callable[[pa.Table], tuple[pa.Table, int]]


@dataclass
class Landed:
    """What one pull of one day did."""

    project: str
    day: date
    source: str  # observations or scores
    rows: int = 0
    pages: int = 0
    bytes: int = 0
    seconds: float = 0.0
    duplicates: int = 0
    late_rows: int = 0
    doubtful: int = 0
    rejects: dict[str, Reject] = field(default_factory=dict)
    changed: bool = False
    kept: int = 0  # rows held, of a day that the source may no longer answer for in full

    @property
    def quarantined(self) -> int:
        return len(self.rejects)

    def figures(self) -> dict[str, float]:
        """What the asset's page plots."""
        return {
            "dagster/row_count": self.rows,
            "pages": self.pages,
            "megabytes": round(self.bytes / 1e6, 3),
            "seconds": round(self.seconds, 3),
            "duplicates": self.duplicates,
            "late_rows": self.late_rows,
            "quarantined": self.quarantined,
            "doubtful": self.doubtful,
            "rewritten": int(self.changed),
            "kept": self.kept,
        }


@dataclass(frozen=True)
class Earlier:
    """What is on record of a day before it is pulled again."""

    first_pulled_at: datetime | None = None
    content_hash: str = ""

    @classmethod
    def of(cls, database: Database, landed: Landed) -> Earlier:
        found = database.table("pull", landed.project, landed.day, landed.day, source=landed.source)
        if not len(found):
            return cls()
        return cls(found["first_pulled_at"].iloc[0], found["content_hash"].iloc[0])


def content_of(gathered: Gathered, finish: Finish) -> tuple[int, str]:
    """(rows, content hash) of what `land` would land."""
    digest, count = hashlib.blake2b(digest_size=16), 0

    def finished(part: pa.Table) -> pa.Table:
        nonlocal count
        rows, _ = finish(part)
        digest_rows(digest, rows)
        count += rows.num_rows
        return rows

    gathered.apply(finished)
    return count, digest.hexdigest()


def land(
    lake: Lake,
    database: Database,
    landed: Landed,
    gathered: Gathered,
    finish: Finish,
    *,
    now: datetime | None = None,
) -> Landed:
    """Finishes the gathered rows, replaces the day where it changed, and records the pull."""
    earlier = Earlier.of(database, landed)
    digest = finished(lake, landed, gathered, finish, earlier)

    def write() -> None:
        parts = list(itertools.islice(gathered.parts(), 2))
        rows = parts[0] if len(parts) == 1 else gathered.parts()
        lake.replace_day(landed.source, landed.project, landed.day, rows)

    return kept(database, landed, digest, earlier, write, now=now)


def finished(
    lake: Lake, landed: Landed, gathered: Gathered, finish: Finish, earlier: Earlier
) -> str:
    """Finishes the gathered rows and counts them; the content's hash. `landed.changed` says
    whether the lake has to be written."""
    started = time.perf_counter()
    due = min(earlier.first_pulled_at or datetime.now(UTC), days.end_of(landed.day) + DUE)
    digest = hashlib.blake2b(digest_size=16)

    def count(part: pa.Table) -> pa.Table:
        rows, duplicates = finish(part)
        landed.duplicates += duplicates
        landed.rows += rows.num_rows
        landed.late_rows += _count(pc.greater(rows["created_at"], pa.scalar(due, _TIME)))
        if "usage_issue" in rows.column_names:
            landed.doubtful += _count(pc.not_equal(rows["usage_issue"], ""))
        digest_rows(digest, rows)
        return rows

    gathered.apply(count)
    landed.changed = digest.hexdigest() != earlier.content_hash or not holds(
        lake, landed.source, landed.project, landed.day, landed.rows
    )
    landed.seconds += time.perf_counter() - started
    return digest.hexdigest()


def kept(
    database: Database,
    landed: Landed,
    digest: str,
    earlier: Earlier,
    write: Callable[[], None],
    *,
    now: datetime | None = None,
) -> Landed:
    """Writes the day where it changed, and records the pull."""
    started = time.perf_counter()
    if landed.changed:
        # No hash while the lake is written: a crash leaves nothing that could pass for unchanged.
        _record(database, landed, "", earlier, now)
        write()
    landed.seconds += time.perf_counter() - started
    _record(database, landed, digest, earlier, now)
    quarantine(database, landed)
    return landed


_TIME = pa.timestamp("us", tz="UTC")


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def digest_rows(digest: Any, rows: pa.Table) -> None:
    """Adds rows in their order to a hash. Equal values give equal bytes however the columns are
    chunked: what lies under a null is overwritten, and each column is written anew."""
    kept = [name for name in rows.column_names if name not in _RESTLESS]
    columns = {}
    for name in kept:
        column = rows[name]
        if column.null_count:
            columns[f"{name}?"] = pc.is_null(column)
            column = pc.fill_null(column, _blank(column.type))
        columns[name] = pa.concat_arrays(column.chunks)
    digest.update(rows.num_rows.to_bytes(8, "little"))
    with pa.BufferOutputStream() as sink:
        table = pa.table(columns)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        digest.update(sink.getvalue())


def _blank(kind: pa.DataType) -> pa.Scalar:
    for is_kind, value in (
        (pa.types.is_list, []),
        (pa.types.is_string, ""),
        (pa.types.is_boolean, False),
        (pa.types.is_decimal, Decimal(0)),
    ):
        if is_kind(kind):
            return pa.scalar(value, kind)
    return pa.scalar(0, kind)


def _record(
    database: Database, landed: Landed, digest: str, earlier: Earlier, now: datetime | None
) -> None:
    at = now or datetime.now(UTC)
    database.upsert(
        "pull",
        pd.DataFrame(
            [
                {
                    "project_id": landed.project,
                    "day": landed.day,
                    "source": landed.source,
                    "rows": landed.rows,
                    "pages": landed.pages,
                    "bytes": landed.bytes,
                    "seconds": round(landed.seconds, 3),
                    "duplicates": landed.duplicates,
                    "late_rows": landed.late_rows,
                    "quarantined": landed.quarantined,
                    "doubtful": landed.doubtful,
                    "content_hash": digest,
                    "first_pulled_at": earlier.first_pulled_at or at,
                    "pulled_at": at,
                    "stale": False,
                }
            ]
        ),
    )


def quarantine(database: Database, landed: Landed) -> None:
    """Replaces the refused rows of the day."""
    window = {"project_id": landed.project, "day": landed.day, "source": landed.source}
    rows = pd.DataFrame(
        [
            {"row_id": key, "reason": reject.reason[:500], "excerpt": reject.excerpt}
            for key, reject in sorted(landed.rejects.items())
        ],
        columns=["row_id", "reason", "excerpt"],
    )
    database.replace("quarantine", window, rows)
