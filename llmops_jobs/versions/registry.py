"""What ran: every combination of prompt, model, parameters, release and tools seen in traffic."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from llmops_jobs.store import Database

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

_COMBINATION = ("prompt_name", "prompt_version", "request_model", "model", "release")
KEY = (*_COMBINATION, "parameters_hash", "tool_set")


def combinations(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Model calls of product traffic per combination, as reported (an engine definition)."""
    calls = tables["observations"]
    calls = calls.filter(calls.is_model_call & ~calls.is_evaluation)
    return calls.group_by(*_COMBINATION, "model_parameters", "tool_names").agg(
        requests=calls.count()
    )


def version_seen(combined: pd.DataFrame, before: pd.DataFrame, day: date) -> pd.DataFrame:
    """Rows of `version_seen` for a day.

    `combined` is the result of `combinations`; `before` holds KEY and first_seen of every
    combination of earlier days. The share is of the prompt's calls, or of the calls without a
    prompt.
    """
    seen = combined.assign(
        prompt_version=combined["prompt_version"].map(_version_text),
        parameters_hash=combined["model_parameters"].map(_hash),
        tool_set=combined["tool_names"].map(_hash),
    )
    seen = seen.groupby(list(KEY), dropna=False)["requests"].sum().reset_index()
    of_prompt = seen.groupby("prompt_name")["requests"].transform("sum")
    seen["share"] = seen["requests"] / of_prompt
    earlier = before.groupby(list(KEY), as_index=False)["first_seen"].min()
    seen = seen.merge(earlier, how="left", on=list(KEY))
    seen["first_seen"] = seen["first_seen"].where(seen["first_seen"].notna(), day)
    return seen.assign(labels="")


def _version_text(version: float | None) -> str:
    return "" if version is None or version != version else str(int(version))


def _hash(text: str) -> str:
    """A short name for a JSON text; '' for an empty object or list."""
    return "" if text in ("", "{}", "[]") else hashlib.sha256(text.encode()).hexdigest()[:12]


def first_seen_before(database: Database, project: str, day: date) -> pd.DataFrame:
    """KEY and first_seen of every combination of the days before `day`."""
    import sqlalchemy as sa

    from llmops_jobs.store.tables.versions import version_seen as table

    columns = [table.c[name] for name in KEY]
    query = (
        sa.select(*columns, sa.func.min(table.c.first_seen).label("first_seen"))
        .where(table.c.project_id == project, table.c.day < day)
        .group_by(*columns)
    )
    return database.read(query)
