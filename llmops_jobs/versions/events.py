"""What is known to have happened on a day: the causes that a change is joined with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# A change is dated to within a day or two of its cause.
TOLERANCE = timedelta(days=2)
# A version that only a few calls have seen explains nothing.
_SHARE = 0.05


@dataclass(frozen=True)
class Event:
    day: date
    kind: str
    text: str


def from_versions(seen: pd.DataFrame, as_of: date) -> list[Event]:
    """New prompt versions, models, releases and silent model swaps among rows of `version_seen`.

    Every one of them dated to the first day on which it carried a real share of its prompt.
    """
    seen = seen[seen["day"] <= as_of]
    start = seen["day"].min() if len(seen) else as_of
    found: list[Event] = []
    for kind, columns in (
        ("prompt version", ["prompt_name", "prompt_version"]),
        ("model", ["model"]),
        ("release", ["release"]),
        ("model swap", ["request_model", "model"]),
    ):
        for key, rows in seen.groupby(columns):
            first = rows["day"].min()
            values = [str(value) for value in (key if isinstance(key, tuple) else (key,))]
            on_first = rows[(rows["day"] - first) <= timedelta(days=1)]
            if first == start or not all(values) or on_first["share"].sum() < _SHARE:
                continue
            if kind == "model swap" and values[0] == values[1]:
                continue
            found.append(Event(first, kind, f"{kind} {' → '.join(values)}"))
    return sorted(found, key=lambda event: (event.day, event.kind, event.text))


def cause(day: date, events: Sequence[Event]) -> str:
    """The events within the tolerance of a day, nearest first; '' when there is none."""
    near = [event for event in events if abs(event.day - day) <= TOLERANCE]
    near.sort(key=lambda event: (abs(event.day - day), event.day, event.text))
    return "; ".join(dict.fromkeys(event.text for event in near[:4]))
