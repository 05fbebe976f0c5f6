"""One UTC day of a Langfuse project, as the wire shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class DayRows:
    """The rows of one UTC day, in any order.

    `observations` start in the day (`startTime`) and carry the keys of every field group of
    `GET /api/public/v2/observations`; `scores` carry those of `GET /api/public/v3/scores` and
    fall in the day by `timestamp`. Keys are the API's own (camelCase), times are ISO 8601 in
    UTC with milliseconds and a `Z`.
    """

    observations: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
