"""How the report was made."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import Cell, Column, Section, Table, label
from llmops_jobs.report.sections import prices


def section(edition: Edition, code_version: str, price_books: list[str]) -> Section:
    period = edition.period
    rows: list[list[Cell]] = [
        [Cell(text="Days"), Cell(text=f"{edition.first} to {edition.last} (UTC, by start time)")],
        [
            Cell(text="Compared with"),
            Cell(text=f"{period.before_first} to {period.before_last}"),
        ],
        [Cell(text="Requests"), Cell(text="model calls; a trace can hold several")],
        [Cell(text="Evaluation overhead"), prices.overhead(edition)],
        [
            Cell(text="Real changes"),
            Cell(text="larger than the same change on each of the 28 days before"),
        ],
        [Cell(text="Intervals"), Cell(text="95% unless said otherwise")],
        [Cell(text="Price book"), label(prices.told(price_books), 80)],
        [Cell(text="Code version"), Cell(text=code_version)],
    ]
    columns = [Column(key="what", label="What"), Column(key="how", label="How")]
    table = Table(id="method-facts", title="How this was made", columns=columns, rows=rows)
    return Section(
        id="method", title="Method", blocks=[table], traces=edition.calls(), width="half"
    )
