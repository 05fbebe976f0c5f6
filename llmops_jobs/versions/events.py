"""What is known to have happened on a day: the causes that a change is joined with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from llmops_jobs.deployment import Deployment

if TYPE_CHECKING:
    import pandas as pd

# A change is dated to within a day or two of its cause.
TOLERANCE = timedelta(days=2)
# A version that only a few calls have seen explains nothing.
_SHARE = 0.05
_JUMP = 0.2
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Event:
    """`dimension` and `value` say whose calls it touches, '' all; `metrics` begins the names of
    the metrics that it can move, '' any."""

    day: date
    kind: str
    text: str
    dimension: str = ""
    value: str = ""
    metrics: str = ""


def events_of(deployment: Deployment, project: str, last: date) -> list[Event]:
    """Everything known up to `last`, by day."""
    database = deployment.database
    found = [
        *from_versions(database.table("version_seen", project, last=last)),
        *from_labels(database.table("prompt_label", project, last=last)),
        *_judges(deployment, project, last),
        *_prices(deployment, project, last),
    ]
    return sorted(found, key=lambda event: (event.day, event.kind, event.text))


def from_versions(seen: pd.DataFrame) -> Iterator[Event]:
    """New prompt versions, models, releases and silent model swaps among rows of `version_seen`.

    Each on the first day on which it carried a real share of its prompt's calls; a prompt version
    again whenever its share jumps. A day's events follow from that day and those before it.
    """
    if seen.empty:
        return
    start = seen["day"].min()
    for kind, columns, dimension in (
        ("prompt version", ["prompt_name", "prompt_version"], "prompt_name"),
        ("model", ["model"], "model"),
        ("release", ["release"], ""),
        ("model swap", ["request_model", "model"], "model"),
    ):
        for key, rows in seen.groupby(columns):
            values = [str(value) for value in key]
            swapped = kind != "model swap" or values[0] != values[1]
            if not all(values) or not swapped:
                continue
            value = values[0] if dimension == "prompt_name" else values[-1]
            share = rows.groupby("day")["share"].sum()
            for day, more in _adoptions(share, start, jumps=kind == "prompt version"):
                text = f"{kind} {' → '.join(values)}{more}"
                yield Event(day, kind, text, dimension, value if dimension else "")


def _adoptions(share: pd.Series, start: date, *, jumps: bool) -> Iterator[tuple[date, str]]:
    """The days on which a version arrived or jumped; what was there from the start did not."""
    real = share[share >= _SHARE]
    arrived = real.index[0] if len(real) and share.index[0] > start else None
    if arrived is not None:
        yield arrived, ""
    quiet = arrived
    for day, now in share.items() if jumps else ():
        before = share.reindex([day - n * _DAY for n in (1, 2, 3)]).fillna(0).mean()
        settling = quiet is not None and day - quiet <= 3 * _DAY
        if day - start >= 3 * _DAY and now - before >= _JUMP and not settling:
            yield day, f" ({before:.0%} → {now:.0%} of its calls)"
            quiet = day


def from_labels(labels: pd.DataFrame) -> Iterator[Event]:
    """Labels that carried another version in the snapshot before."""
    if labels.empty:
        return
    for (prompt, label), rows in labels.groupby(["prompt_name", "label"]):
        if label == "latest":  # moves with every new version by itself
            continue
        rows = rows.sort_values("day")
        for row, before in zip(
            rows.iloc[1:].itertuples(), rows["version"].iloc[:-1].tolist(), strict=True
        ):
            if row.version != before:
                text = f"label {label} of {prompt} moved from {before} to {row.version}"
                yield Event(row.day, "label", text, "prompt_name", str(prompt))


def _judges(deployment: Deployment, project: str, last: date) -> Iterator[Event]:
    """A judge's model that changed, and scorers of a new version."""
    import sqlalchemy as sa

    from llmops_jobs.store.tables import TABLES

    c = TABLES["score"].c
    query = sa.select(c.scorer, c.scorer_version, sa.func.min(c.day).label("day"))
    query = query.where(c.project_id == project, c.day <= last, c.status == "ok")
    scorers = deployment.database.read(query.group_by(c.scorer, c.scorer_version))
    for scorer, rows in scorers.groupby("scorer"):
        for row in rows.sort_values("day").iloc[1:].itertuples():
            text = f"scorer {scorer} changed to {row.scorer_version}"
            yield Event(row.day, "judge", text, metrics=f"pass_rate:{scorer}")
    nights = deployment.database.table("judge_night", project, last=last).sort_values("day")
    nights = nights[nights["judge_model"].fillna("") != ""]
    for row, before in zip(
        nights.iloc[1:].itertuples(), nights["judge_model"].iloc[:-1].tolist(), strict=True
    ):
        if row.judge_model != before:
            text = f"judge changed from {before} to {row.judge_model}"
            yield Event(row.day, "judge", text, metrics="pass_rate:")


def _prices(deployment: Deployment, project: str, last: date) -> Iterator[Event]:
    """Days on which the price book has another price for a model than the day before."""
    import sqlalchemy as sa

    from llmops_jobs.ledger.book import load_book
    from llmops_jobs.store.tables import TABLES

    book = load_book(deployment.settings.ledger)
    c = TABLES["usage_daily"].c
    query = sa.select(
        c.provider, c.model, sa.func.min(c.day).label("first"), sa.func.max(c.day).label("last")
    )
    query = query.where(c.project_id == project, c.day <= last, c.is_evaluation.is_(False))
    for row in deployment.database.read(query.group_by(c.provider, c.model)).itertuples():
        before = None
        for offset in range((row.last - row.first).days + 1):
            day = row.first + offset * _DAY
            tiers = [
                (tier.above, dict(tier.per_unit))
                for tier in book.tiers(row.provider, row.model, day)
            ]
            if before is not None and tiers != before:
                yield Event(
                    day, "price", f"price of {row.model} changed", "model", row.model, "cost_"
                )
            before = tiers


def causes(
    day: date, metric: str, events: Sequence[Event], as_of: date, calls: pd.DataFrame
) -> list[Event]:
    """The events within the tolerance of a day that can explain a change, nearest first.

    Nothing after `as_of` is known. `calls` are rows of usage_daily of the change's scope: what
    touches too few of them cannot have changed their level.
    """
    near = [
        event
        for event in events
        if abs(event.day - day) <= TOLERANCE
        and event.day <= as_of
        and metric.startswith(event.metrics)
        and _touches(event, calls)
    ]
    return sorted(near, key=lambda event: (abs(event.day - day), event.day, event.text))


def _touches(event: Event, calls: pd.DataFrame) -> bool:
    if not event.dimension:
        return True
    after = calls[calls["day"] >= event.day]
    touched = after.loc[after[event.dimension] == event.value, "requests"].sum()
    return bool(touched >= _SHARE * after["requests"].sum() > 0)
