"""What the asset checks of the copy ask: sentences about days that are not as they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from llmops_jobs import days
from llmops_jobs.deployment import Deployment

if TYPE_CHECKING:
    import ibis.expr.types as ir


def held(tables: Mapping[str, ir.Table]) -> ir.Table:
    """By day: rows, different ids, first and last start, and rows with impossible counts."""
    import ibis

    rows = tables["observations"]
    impossible = ibis.or_(
        *(
            rows[name] < 0
            for name in ("input_tokens", "output_tokens", "reported_cost_usd", "latency_s")
        )
    )
    return rows.group_by("day").agg(
        rows=rows.count(),
        ids=ibis.struct({"trace": rows["trace_id"], "id": rows["observation_id"]}).nunique(),
        first=rows["start_time"].min(),
        last=rows["start_time"].max(),
        impossible=impossible.fill_null(False).sum(),
    )


def broken_days(deployment: Deployment, wanted: Sequence[date]) -> list[str]:
    """Days of the lake that hold a row twice, a row of another day, or an impossible count."""
    wrong = []
    for project in deployment.projects():
        found = deployment.engine.run(held, deployment.lake, project.id, wanted)
        for row in sorted(found.to_pylist(), key=lambda row: row["day"]):
            wrong += [f"{row['day']} of {project.name}: {fault}" for fault in _faults(row)]
    return wrong


def _faults(row: Mapping[str, Any]) -> list[str]:
    faults = []
    if row["rows"] != row["ids"]:
        faults.append(f"{row['rows'] - row['ids']} observations are there twice")
    if row["first"] < days.start_of(row["day"]) or row["last"] >= days.end_of(row["day"]):
        faults.append(f"observations of another day ({row['first']} to {row['last']})")
    if row["impossible"]:
        faults.append(f"{row['impossible']} observations with counts below zero")
    return faults


def unexplained_days(deployment: Deployment, wanted: Sequence[date]) -> list[str]:
    """Days whose reconciliation leaves a difference, in the words of the table."""
    wrong = []
    for project in deployment.projects():
        table = deployment.database.table("reconciliation", project.id, min(wanted), max(wanted))
        table = table[table["day"].isin(list(wanted))]
        for row in table[table["status"] == "differs"].itertuples():
            wrong.append(f"{row.day} of {project.name}: {row.detail}")
    return wrong
