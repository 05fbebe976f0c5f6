"""Ways to the traces behind a number: addresses in Langfuse's own user interface.

A filtered view carries Langfuse's `filter` parameter (`column;type;key;operator;value`, each value
percent-encoded once more, `|` between values) and `dateRange` in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from urllib.parse import quote, urlsplit

from llmops_jobs.days import end_of, start_of


class Links:
    """Addresses of one project; every method gives None where the project has none."""

    def __init__(self, base_url: str, project: str) -> None:
        try:
            parts = urlsplit(base_url)
            web = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            web = False
        self._root = f"{base_url.rstrip('/')}/project/{quote(project, safe='')}" if web else ""

    def trace(self, trace_id: str, observation_id: str = "") -> str | None:
        if not self._root or not trace_id:
            return None
        observation = f"?observation={quote(observation_id, safe='')}" if observation_id else ""
        return f"{self._root}/traces/{quote(trace_id, safe='')}{observation}"

    def traces(self, first: date, last: date, *conditions: str) -> str | None:
        return self._view("traces", first, last, conditions)

    def calls(self, first: date, last: date, *conditions: str) -> str | None:
        """The model calls (observations) of the days."""
        return self._view("observations", first, last, conditions)

    def scores(self, first: date, last: date, *conditions: str) -> str | None:
        return self._view("scores", first, last, conditions)

    def prompt(self, name: str, version: str = "") -> str | None:
        if not self._root or not name:
            return None
        shown = f"?version={quote(version, safe='')}" if version else ""
        return f"{self._root}/prompts/{quote(name, safe='')}{shown}"

    def _view(self, view: str, first: date, last: date, conditions: Sequence[str]) -> str | None:
        if not self._root:
            return None
        start, end = (int(at.timestamp() * 1000) for at in (start_of(first), end_of(last)))
        address = f"{self._root}/{view}?dateRange={start}-{end}"
        if conditions:
            address += f"&filter={quote(','.join(conditions), safe=';,')}"
        return address


def any_of(column: str, *values: str) -> str:
    """A condition: the column has one of the values."""
    escaped = "|".join(value.replace("\\", "\\\\").replace("|", "\\|") for value in values)
    return f"{column};stringOptions;;any of;{quote(escaped, safe='')}"


# What a dimension of ours is called in Langfuse's tables of traces and of observations.
_TRACES = {"feature": "name", "environment": "environment"}
_CALLS = {
    "feature": "traceName",
    "environment": "environment",
    "model": "model",
    "prompt_name": "promptName",
}


def of_trace(dimension: str, value: str) -> list[str]:
    """The condition of a view of traces; none where Langfuse keeps no such column."""
    return [any_of(_TRACES[dimension], value)] if dimension in _TRACES and value else []


def of_call(dimension: str, value: str) -> list[str]:
    """The condition of a view of model calls; none where Langfuse keeps no such column."""
    return [any_of(_CALLS[dimension], value)] if dimension in _CALLS and value else []


def at_least(column: str, value: float) -> str:
    """A condition: the column is as large as the value."""
    return f"{column};number;;>=;{value:.6g}"
