"""Our copy beside the source's own count: the Metrics API, day by day, and why they differ.

The Metrics API counts what the table holds, without deduplication, and with an inclusive end; it
answers at most 1,000 rows without saying that it cut. Sixty days are asked at a time, in ascending
time and without a dimension, so that nothing can be cut unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from llmops_jobs import days
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.client import Client
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.reach import out_of_reach
from llmops_jobs.langfuse.wire import instant

METRICS = "/api/public/v2/metrics"
_DAYS_AT_ONCE = 60
_ROW_LIMIT = 1000
# Differences of cost below this are the source's own rounding (it sums floats).
_CENT = Decimal("0.000001")


class TruncatedError(SourceError):
    """The Metrics API may have left out days; it never says so."""


@dataclass(frozen=True)
class Counted:
    """One day by the Metrics API. Tokens and cost are sums over all its rows, versions included."""

    rows: int
    cost: Decimal
    tokens: int


@dataclass(frozen=True)
class Compared:
    """One day beside the source."""

    day: date
    row: dict[str, Any]

    def figures(self) -> dict[str, float]:
        """What the asset's page plots."""
        numbers = ("rows_here", "rows_source", "duplicates", "late_rows", "unexplained")
        return {name: self.row[name] for name in numbers if self.row[name] is not None}


def reconcile(
    deployment: Deployment, project: ProjectKeys, wanted: Sequence[date]
) -> Iterator[Compared]:
    """Compares each day and replaces its row of the table `reconciliation`.

    A Metrics API that cannot be asked (its quota used up, say) costs no night: the day is marked
    `not_checked`, with the reason.
    """
    counted, why_not, status = _ask(deployment, project, wanted)
    now = datetime.now(UTC)
    for day in sorted(wanted):
        row = _compare(deployment, project, day, counted.get(day), (status, why_not), now)
        frame = pd.DataFrame([row]).astype(object)
        deployment.database.replace_day("reconciliation", project.id, day, frame)
        yield Compared(day, row)


def _ask(
    deployment: Deployment, project: ProjectKeys, wanted: Sequence[date]
) -> tuple[dict[date, Counted], str, str]:
    """(days counted, why the others were not, the status of those)"""
    from llmops_jobs.langfuse.sources import open_client

    if not deployment.settings.ingest.reconcile or not project.secret_key:
        return {}, "reconciliation is switched off", "not_checked"
    counted: dict[date, Counted] = {}
    ordered = sorted(wanted)
    with open_client(deployment, project) as client:
        while ordered:
            last = ordered[0] + timedelta(days=_DAYS_AT_ONCE - 1)
            part = [day for day in ordered if day <= last]
            ordered = ordered[len(part) :]
            try:
                counted |= count_days(client, part[0], part[-1])
            except TruncatedError as error:
                return counted, str(error), "truncated"
            except SourceError as error:
                return counted, str(error), "not_checked"
    return counted, "the day was not answered", "not_checked"


def count_days(client: Client, first: date, last: date) -> dict[date, Counted]:
    """Rows, cost and tokens of each day in [first, last]. Days without rows count 0.

    Raises SourceError when the answer reached the row limit and so may have been cut.
    """
    query = {
        "view": "observations",
        "metrics": [
            {"measure": "count", "aggregation": "count"},
            {"measure": "totalCost", "aggregation": "sum"},
            {"measure": "totalTokens", "aggregation": "sum"},
        ],
        "dimensions": [],
        "filters": [],
        "timeDimension": {"granularity": "day"},
        "fromTimestamp": instant(days.start_of(first)),
        # Inclusive, unlike everywhere else: a whole second here would count midnight twice.
        "toTimestamp": instant(days.end_of(last) - timedelta(milliseconds=1)),
        "config": {"row_limit": _ROW_LIMIT},
    }
    answer = client.json(METRICS, [("query", json.dumps(query))])
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise SourceError(f"{client.keys.base_url}{METRICS} answered without data")
    if len(data) >= _ROW_LIMIT:
        raise TruncatedError(f"{METRICS} reached its limit of {_ROW_LIMIT} rows: it may be cut")
    counted = {day: Counted(0, Decimal(0), 0) for day in days.days(first, last)}
    for item in data:
        day = date.fromisoformat(str(item["time_dimension"])[:10])
        # Numbers come as text from some versions of the database behind the server.
        counted[day] = Counted(
            int(float(item["count_count"] or 0)),
            Decimal(str(item["sum_totalCost"] or 0)),
            int(float(item["sum_totalTokens"] or 0)),
        )
    return counted


def _compare(
    deployment: Deployment,
    project: ProjectKeys,
    day: date,
    source: Counted | None,
    otherwise: tuple[str, str],
    now: datetime,
) -> dict[str, Any]:
    columns = ["reported_cost_usd", "usage_details"]
    here = deployment.lake.read_day("observations", project.id, day, columns)
    pulls = deployment.database.table("pull", project.id, day, day, source="observations")
    pulled = pulls.iloc[0] if len(pulls) else None
    duplicates = int(pulled["duplicates"]) if pulled is not None else 0
    quarantined = int(pulled["quarantined"]) if pulled is not None else 0
    row: dict[str, Any] = {
        "rows_here": here.num_rows,
        "rows_source": source.rows if source else None,
        "cost_here": pc.sum(here["reported_cost_usd"]).as_py() or Decimal(0),
        "cost_source": source.cost if source else None,
        "tokens_here": _total_tokens(here["usage_details"].to_pylist()),
        "tokens_source": source.tokens if source else None,
        "duplicates": duplicates,
        "late_rows": int(pulled["late_rows"]) if pulled is not None else 0,
        "quarantined": quarantined,
        "unexplained": 0,
        "checked_at": now,
    }
    if source is None:
        return row | {"status": otherwise[0], "detail": otherwise[1]}
    row["unexplained"] = source.rows - here.num_rows - duplicates - quarantined
    status, detail = judge(
        row,
        beyond=out_of_reach(deployment.settings.ingest, project, day, now.date()),
        pulled=pulled is not None,
    )
    return row | {"status": status, "detail": detail}


def judge(row: dict[str, Any], *, beyond: bool, pulled: bool) -> tuple[str, str]:
    """(status, one sentence) for a row of the table whose numbers are known."""
    here, source, missing = row["rows_here"], row["rows_source"], row["unexplained"]
    versions = f", {row['duplicates']:,} of them older versions" if row["duplicates"] else ""
    counts = f"{here:,} rows here, {source:,} in the source{versions}"
    if not pulled:
        return "not_checked", f"{counts}; the day was not pulled yet"
    if source < here and beyond:
        return "out_of_reach", (
            f"{counts}: the day is older than the source keeps or lets the API see; our copy stays"
        )
    if missing == 0:
        drift = abs(row["cost_here"] - row["cost_source"])
        if (
            row["duplicates"] == 0
            and row["quarantined"] == 0
            and drift > max(_CENT, row["cost_here"] * Decimal("0.000001"))
        ):
            return "differs", f"{counts}; the cost differs by {drift:.6f} USD"
        return "ok", counts
    if missing > 0:
        return "differs", f"{counts}: {missing:,} came after the pull, or merged versions differ"
    return "differs", (
        f"{counts}: the source has lost, merged or deleted {-missing:,} rows since the pull"
    )


def _total_tokens(usages: list[str]) -> int:
    """Tokens as the Metrics API counts them: the key `total` of each row, and nothing without."""
    import msgspec

    decode = msgspec.json.Decoder(dict[str, Any]).decode
    total = 0.0
    for text in usages:
        if text == "{}":
            continue
        try:
            usage = decode(text)
        except msgspec.MsgspecError:
            continue
        given = usage.get("total")
        total += given if isinstance(given, int | float) and given == given else 0
    return int(total)
