"""What goes into a message of the watch beside the number, from the rows it looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.watch.rows import SLICES, Rows
from llmops_jobs.dimensions import NONE_LABEL

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3
# A slice explains something when its share of the trouble is so many times that of the calls.
_MORE = 1.25
_TELLING = {"errors": "ended", "speed": "latency_s", "spend": "cost_usd"}


def evidence(rows: Rows, finding: Finding, project: str, base_url: str) -> dict[str, Any]:
    """`traces`: addresses, the most telling first; `contributions`: the slices that hold most of
    the errors, the time or the money."""
    calls = rows.calls
    for name, value in finding.slice.items():
        if name in calls.columns:
            calls = calls[calls[name] == value]
    bad = calls[calls["failed"]] if finding.topic == "errors" else calls
    column = _TELLING.get(finding.topic, "ended")
    telling = bad.sort_values(column, ascending=False, na_position="last", kind="stable")
    root = f"{base_url.rstrip('/')}/project/{quote(project, safe='')}/traces"
    links = [
        f"{root}/{quote(trace, safe='')}?observation={quote(observation, safe='')}"
        for trace, observation in zip(
            telling["trace_id"].head(_SHOWN), telling["observation_id"].head(_SHOWN), strict=True
        )
    ]
    mass = {"errors": "errors", "spend": "cost_usd", "speed": "latency_s"}.get(finding.topic)
    return {
        "traces": links if base_url else [],
        "contributions": _contributions(calls, mass, finding.slice) if mass else [],
    }


def _contributions(calls: pd.DataFrame, mass: str, known: dict[str, str]) -> list[dict[str, Any]]:
    whole = float(calls[mass].sum())
    found: list[dict[str, Any]] = []
    for name in SLICES:
        if name in known or not whole or calls[name].nunique() < 2:
            continue
        shares = calls.groupby(name)[mass].sum() / whole
        value, share = str(shares.idxmax()), float(shares.max())
        if share > _MORE * float((calls[name] == value).mean()):
            found.append({"slice": f"{name}={value or NONE_LABEL}", "share": round(share, 3)})
    return sorted(found, key=lambda row: -row["share"])[:_SHOWN]
