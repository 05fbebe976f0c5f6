"""Rows of `raw` scores -> rows of the lake's scores."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llmops_jobs import days
from llmops_jobs.lake import schema
from llmops_jobs.langfuse.raw import Reject, row_key
from llmops_jobs.langfuse.rows import clip
from llmops_jobs.langfuse.traces import deduplicated

DRAFT: Final = pa.schema([field for field in schema.SCORES if field.name not in schema.PARTITION])
#: Key of a score's metadata that says that a scorer of this project gave it. Langfuse's source of
#: such a score is API, as of a user's vote, which it must not be counted as when it is pulled back.
MARK: Final = "llmops_scorer_version"
_CLIPPED: Final = ("name", "source", "data_type", "environment", "string_value", "subject_kind")
_NUMERIC: Final = ("NUMERIC", "BOOLEAN")


def score_rows(raw: pa.Table, day: date | None, project_id: str) -> tuple[pa.Table, list[Reject]]:
    """(rows of DRAFT, rows refused): those of another day or project, and numbers that are none."""
    missing = [f"no {name}" for name in ("score_id", "name")]
    faults = [(reason, pc.equal(pc.fill_null(raw[reason[3:]], ""), "")) for reason in missing]
    faults.append(("no timestamp", pc.is_null(raw["timestamp"])))
    if day is not None:
        first, end = (
            pa.scalar(t, raw["timestamp"].type) for t in (days.start_of(day), days.end_of(day))
        )
        outside = pc.or_(pc.less(raw["timestamp"], first), pc.greater_equal(raw["timestamp"], end))
        faults.append((f"is not of {day}", pc.fill_null(outside, False)))
    if project_id:
        mine = pc.is_in(pc.fill_null(raw["project_id"], ""), pa.array(["", project_id]))
        faults.append(("belongs to another project", pc.invert(mine)))
    numeric = pc.is_in(pc.utf8_upper(pc.fill_null(raw["data_type"], "")), pa.array(_NUMERIC))
    unusable = pc.invert(pc.fill_null(pc.is_finite(raw["value"]), False))
    faults.append(("value is not a number", pc.and_(numeric, unusable)))
    bad = np.zeros(raw.num_rows, dtype=bool)
    rejects = []
    for reason, mask in faults:
        fresh = mask.to_numpy(zero_copy_only=False).astype(bool) & ~bad
        bad |= fresh
        for row in raw.filter(pa.array(fresh)).to_pylist() if fresh.any() else []:
            excerpt = f"name={row['name']} value={row['value']} timestamp={row['timestamp']}"
            rejects.append(Reject(row_key(row["score_id"]), reason, excerpt[:120]))
    if rejects:
        raw = raw.filter(pa.array(~bad))
    columns = {
        field.name: pc.fill_null(raw[field.name], "")
        if pa.types.is_string(field.type)
        else raw[field.name]
        for field in DRAFT
    }
    columns["data_type"] = pc.utf8_upper(columns["data_type"])
    columns["metadata"] = pc.if_else(
        pc.is_in(columns["metadata"], pa.array(["", "null"])), "{}", columns["metadata"]
    )
    own = pc.match_substring(columns["metadata"], f'"{MARK}"')
    columns["source"] = pc.if_else(own, "EVAL", columns["source"])
    for name in _CLIPPED:
        columns[name] = clip(columns[name])
    return pa.table(columns, schema=DRAFT), rejects


def finish(rows: pa.Table) -> tuple[pa.Table, int]:
    """(the day's scores, how many duplicates were dropped): one row per id, the newest."""
    return deduplicated(rows, key=("score_id",))
