"""How reliable tools are: the calls of tools, retrievers and guardrails that a trace tells of.

They are no model calls, so they are in no rate of `error_daily`. Of a failed one the class is
`tool_error`, whatever its message, and the family that of the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import pandas as pd

from llmops_jobs.signals.cells import ERROR
from llmops_jobs.signals.families import family

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from llmops_jobs.lake import Lake
    from llmops_jobs.lake.engine import Engine
    from llmops_jobs.signals.cells import Tables

#: Observation types at the leaves of a trace; what contains them would count a failure twice.
TYPES: Final = ("TOOL", "RETRIEVER", "GUARDRAIL")
CLASS: Final = "tool_error"
_KEYS: Final = ["day", "environment", "feature", "tenant", "is_evaluation", "type", "tool"]


def measure(
    engine: Engine, lake: Lake, project: str, days: Sequence[date]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of tool_daily, and the families seen (as of `errors.Errors.families`)."""
    found = engine.run(_calls, lake, project, days).to_pandas()
    found["tool"] = found["tool"].str.slice(0, 255)
    failed = found["failed"].to_numpy(bool)
    told = [family(message, kind=CLASS) for message in found.loc[failed, "status_message"]]
    found[["error_type", "family_id", "template"]] = ""
    found.loc[failed, "error_type"] = CLASS
    found.loc[failed, "family_id"] = [each.id for each in told]
    found.loc[failed, "template"] = [each.template for each in told]
    found["errors"] = found["calls"].where(failed, 0)
    keys = [*_KEYS, "error_type", "family_id"]
    families = found[failed].sort_values("example_trace_id")
    families = families.drop_duplicates(["day", "family_id"])
    return (
        found.groupby(keys, as_index=False)[["calls", "errors"]].sum(),
        families[["day", "family_id", "error_type", "template", "example_trace_id"]],
    )


def _calls(t: Tables) -> ir.Table:
    """Calls by tool and, where they failed, message."""
    o = t["observations"]
    o = o.filter(o.type.isin(TYPES) & ~o.is_model_call)
    failed = o.level == ERROR
    return o.group_by(
        "day",
        "is_evaluation",
        "type",
        **{name: o[name].fill_null("") for name in ("environment", "feature", "tenant")},
        tool=o.name.fill_null(""),
        failed=failed,
        status_message=failed.ifelse(o.status_message.fill_null(""), ""),
    ).agg(calls=o.count(), example_trace_id=o.trace_id.min())
