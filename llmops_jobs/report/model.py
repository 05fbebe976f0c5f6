"""The report as data: what every face renders and `report.json` publishes.

A report is a document: a verdict, tiles, and sections of prose, tables and charts. Numbers in
prose are `Figure`s (value, unit, text), never digits in a string, so each number that is read can
be found with its value. Charts hold their whole series. The faces only lay this out.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmops_jobs.report.words import clean, tidy, write

SCHEMA_VERSION: Final = 1

Unit = Literal[
    "usd",
    "usd_change",
    "count",
    "count_change",
    "ratio",
    "share",
    "relative",
    "points",
    "seconds",
    "seconds_change",
    "per_second",
    "number",
    "number_change",
    "date",
    "day",
    "text",
]
Status = Literal["act", "watch", "ok", "none"]
Number = int | float | None


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(Part):
    """A number or day in prose."""

    kind: Literal["figure"] = "figure"
    value: Number | str = Field(
        None, description="ISO 8601 for a day; null where there is no value"
    )
    unit: Unit
    text: str = Field(description="the value as it is written on every face")


class Name(Part):
    """A name out of the data (a model, a prompt, a tenant): cleaned, never markup."""

    kind: Literal["name"] = "name"
    text: str


class Link(Part):
    """A way to the evidence: a trace or filtered view in Langfuse, or `#section` of the page."""

    kind: Literal["link"] = "link"
    text: str
    href: str


Inline = Annotated[Figure | Name | Link, Field(discriminator="kind")]
Prose = list[str | Inline]


class Change(Part):
    """Against the comparable period before, and whether the change is more than usual."""

    before: Number = None
    change: Figure
    real: bool | None = Field(None, description="null: too little history to say")
    good: bool | None = Field(None, description="null where neither direction is good")
    why: Prose = Field(description="what the judgement rests on")


class Series(Part):
    name: str
    style: Literal["main", "soft", "dash", "dots"] = "main"
    values: list[Number]


class Band(Part):
    name: str
    low: list[Number]
    high: list[Number]


class Limit(Part):
    name: str
    value: Number = None
    text: str


class Mark(Part):
    x: date
    value: Number = None
    text: str
    status: Status = "watch"


class LineChart(Part):
    """Values by day, with bands, limits and marks."""

    kind: Literal["line"] = "line"
    id: str
    title: str
    unit: Unit
    days: list[date]
    series: list[Series]
    bands: list[Band] = []
    limits: list[Limit] = []
    marks: list[Mark] = []
    forecast_from: date | None = Field(None, description="first day that is forecast")
    traces: str | None = Field(None, description="the traces or calls behind it, in Langfuse")
    zero: bool = Field(True, description="whether the axis starts at zero")
    log: bool = Field(False, description="whether the axis is logarithmic")


class Step(Part):
    name: str
    value: Number = None
    text: str
    total: bool = False


class Waterfall(Part):
    """What led from one total to the other; the steps between sum to the difference."""

    kind: Literal["waterfall"] = "waterfall"
    id: str
    title: str
    unit: Unit
    steps: list[Step]
    traces: str | None = Field(None, description="the calls of the period, in Langfuse")


class Multiples(Part):
    """Small line charts on one shared scale."""

    kind: Literal["multiples"] = "multiples"
    id: str
    title: str
    charts: list[LineChart]


class Column(Part):
    key: str
    label: str
    help: str = ""
    numeric: bool = False


class Cell(Part):
    """One cell; what is absent is left out of the JSON."""

    text: str
    value: Any = None
    unit: Unit | None = None
    href: str | None = None
    status: Status | None = None
    note: Prose | None = Field(None, description="second line")
    share: float | None = Field(None, description="0 to 1, drawn as a bar")
    spark: list[Number] | None = Field(None, description="the last days, drawn as a sparkline")
    low: Number = Field(None, description="interval, drawn with `value` against zero")
    high: Number = None
    scale: Number = Field(None, description="the interval is drawn on -scale to +scale")


class Table(Part):
    kind: Literal["table"] = "table"
    id: str
    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    total: list[Cell] | None = None
    note: Prose = []
    traces: str | None = Field(None, description="the traces or calls behind it, in Langfuse")
    folded: bool = Field(False, description="detail that a page opens on request")


class Text(Part):
    """Prose, or a sentence that says why there is nothing to show."""

    kind: Literal["text"] = "text"
    prose: Prose


Block = Annotated[LineChart | Waterfall | Multiples | Table | Text, Field(discriminator="kind")]


class Section(Part):
    id: str
    title: str
    lead: Prose = []
    blocks: list[Block] = []
    traces: str | None = Field(
        None,
        description="the traces or calls in Langfuse behind every number that has no nearer link",
    )
    width: Literal["half", "full"] = "full"


class Tile(Part):
    id: str
    label: str
    figure: Figure
    status: Status = "none"
    status_text: str = ""
    change: Change | None = None
    note: Prose = []
    spark: list[Number] = []
    href: str = Field("", description="the section with more")
    traces: str | None = Field(None, description="the traces or calls behind it, in Langfuse")


class Finding(Part):
    """One thing that matters, with its evidence."""

    status: Status
    topic: str
    prose: Prose
    evidence: list[Link] = []
    weight: float = Field(description="by which findings of one status are ranked, USD or similar")


class Decision(Part):
    """Something that a person has to decide, and how it is done."""

    prose: Prose
    command: str = ""


class Verdict(Part):
    status: Status
    headline: Prose
    numbers: Prose = []
    findings: list[Finding]
    decisions: list[Decision]
    traces: str | None = Field(None, description="the period's model calls in Langfuse")


class Period(Part):
    kind: Literal["day", "week", "month"]
    first: date
    last: date
    before_first: date
    before_last: date
    complete: bool = Field(description="whether the calendar period has ended")


class Project(Part):
    id: str
    name: str
    base_url: str = ""


class Summary(Part):
    """The numbers that machines ask for first."""

    spend_usd: Number = None
    evaluation_usd: Number = None
    requests: Number = None
    errors: Number = None
    error_rate: Number = None
    latency_p50_s: Number = None
    latency_p95_s: Number = None
    latency_p99_s: Number = None
    quality: Number = Field(None, description="pass rate of the headline metric, 0 to 1")
    quality_metric: str | None = None
    feedback_rate: Number = None
    wasted_usd: Number = None
    unpriced_requests: Number = None
    month_to_date_usd: Number = None
    month_end_p10_usd: Number = None
    month_end_p50_usd: Number = None
    month_end_p90_usd: Number = None
    probability_over_budget: Number = Field(None, description="the largest over all budgets")
    open_incidents: Number = None


class Provenance(Part):
    """From what the report was made; with it the same report can be made again."""

    code_version: str
    price_book_hashes: list[str]
    partitions: list[date] = Field(description="days of the period, first to last")
    days_with_data: int
    copied_at: str | None = Field(None, description="when the newest day was first copied")
    run_url: str | None = Field(None, description="the partition's page in Dagster")


class ReportModel(Part):
    """A whole report."""

    schema_version: int = SCHEMA_VERSION
    title: str
    project: Project
    period: Period
    summary: Summary
    verdict: Verdict
    tiles: list[Tile]
    sections: list[Section]
    provenance: Provenance


def figure(value: Any, unit: Unit) -> Figure:
    """A number or day with its text."""
    published = tidy(value)
    return Figure(value=published, unit=unit, text=write(published, unit))


def name(text: Any, limit: int = 80) -> Name:
    return Name(text=clean(text, limit))


def cell(value: Any, unit: Unit, **options: Any) -> Cell:
    published = tidy(value)
    return Cell(text=write(published, unit), value=published, unit=unit, **options)


def label(text: Any, limit: int = 80, **options: Any) -> Cell:
    """A cell that holds a name out of the data."""
    return Cell(text=clean(text, limit), **options)


def interval(low: Any, high: Any, unit: Unit) -> Prose:
    return [figure(low, unit), " to ", figure(high, unit)]


def numbers(values: Any) -> list[Number]:
    """A series as it is published."""
    return [tidy(value) for value in values]
