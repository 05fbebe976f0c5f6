"""Whether the money is right: calls without a price, and the ledger beside source and bill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Decision,
    Finding,
    Link,
    Prose,
    Section,
    Table,
    Text,
    cell,
    figure,
    label,
    name,
)
from llmops_jobs.report.words import write

_AGREED = "agreed"


@dataclass
class Unpriced:
    """Calls and tokens of a model that no price was found for; they count as 0 in spend."""

    model: str
    requests: int = 0
    tokens: int = 0


def section(edition: Edition) -> Section:
    blocks = [*_unpriced(edition), *_audit(edition), *_bills(edition), *_issues(edition)]
    if not edition.usage.total("requests", edition.first, edition.last):
        blocks = [Text(prose=["There was no call to price in this period."])]
    elif not blocks:
        blocks = [Text(prose=["Every call has a price, and nothing was there to audit it by."])]
    elif not unpriced(edition):
        blocks.insert(0, Text(prose=["Every call has a price."]))
    return Section(
        id="prices",
        title="Prices and audits",
        blocks=blocks,
        traces=edition.calls(),
        width="half",
    )


def unpriced(edition: Edition) -> list[Unpriced]:
    """By model, the most calls first."""
    found: dict[str, Unpriced] = {}
    for day, model, requests, tokens in edition.marts.unpriced:
        if requests and edition.first <= day <= edition.last:
            one = found.setdefault(model, Unpriced(model))
            one.requests += requests
            one.tokens += tokens
    return sorted(found.values(), key=lambda one: (-one.requests, one.model))


def _unpriced(edition: Edition) -> list[Block]:
    rows = [
        [
            label(one.model, 60, href=edition.view("model", one.model)),
            cell(one.requests, "count", status="watch"),
            cell(one.tokens, "count"),
        ]
        for one in unpriced(edition)[:5]
    ]
    columns = [
        Column(key="model", label="Model"),
        Column(key="requests", label="Calls", numeric=True),
        Column(key="tokens", label="Tokens", numeric=True),
    ]
    title = "Calls without a price: counted as nothing in spend"
    return [Table(id="unpriced", title=title, columns=columns, rows=rows)] if rows else []


_CAUSES = [
    Column(key="cause", label="Cause"),
    Column(key="requests", label="Calls", numeric=True),
    Column(key="cost_usd", label="Ours", numeric=True),
]
_DIFFERENCE = Column(key="difference_usd", label="Difference", numeric=True)


def _audit(edition: Edition) -> list[Block]:
    """The ledger beside the cost that the source reports, by cause of the difference."""
    sums: dict[str, list[float]] = {}
    for row in edition.marts.rows("audit", edition.first, edition.last):
        parts = (row.requests, row.cost_usd, row.reported_cost_usd, row.difference_usd)
        _add(sums.setdefault(row.cause, [0.0] * 4), parts)
    largest_first = sorted(
        sums.items(), key=lambda item: (item[0] == _AGREED, -abs(item[1][3]), item[0])
    )
    rows = [[_cause(cause), *_beside(parts)] for cause, parts in largest_first]
    other = Column(key="reported_cost_usd", label="Langfuse", numeric=True)
    title = "Ledger beside the cost that Langfuse reports"
    columns = [*_CAUSES, other, _DIFFERENCE]
    return [Table(id="cost-audit", title=title, columns=columns, rows=rows)] if rows else []


def _bills(edition: Edition) -> list[Block]:
    """The ledger beside a provider's bill, where one was given."""
    sums: dict[tuple[str, str], list[float]] = {}
    for row in edition.marts.rows("bills", edition.first, edition.last):
        parts = (row.requests, row.cost_usd, row.billed_usd, row.difference_usd)
        _add(sums.setdefault((row.bill, row.cause), [0.0] * 4), parts)
    rows = [
        [_cause(cause, note=[name(bill, 48)]), *_beside(parts)]
        for (bill, cause), parts in sorted(sums.items())
    ]
    other = Column(key="billed_usd", label="Billed", numeric=True)
    columns = [*_CAUSES, other, _DIFFERENCE]
    title = "Ledger beside the bills"
    return [Table(id="bill-audit", title=title, columns=columns, rows=rows)] if rows else []


def _cause(cause: str, **options: Any) -> Cell:
    return label(cause.replace("_", " "), **options)


def _beside(parts: list[float]) -> list[Cell]:
    """Calls, our cost, theirs, the difference."""
    requests, ours, theirs, difference = parts
    return [
        cell(requests, "count"),
        cell(ours, "usd"),
        cell(theirs, "usd"),
        cell(difference, "usd_change"),
    ]


def _issues(edition: Edition) -> list[Block]:
    """Doubtful amounts by name."""
    sums: dict[str, list[float]] = {}
    for row in edition.marts.rows("issues", edition.first, edition.last):
        _add(sums.setdefault(row.issue, [0.0] * 2), (row.requests, row.cost_usd))
    rows = [
        [label(issue.replace("_", " ")), cell(requests, "count"), cell(usd, "usd")]
        for issue, (requests, usd) in sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    ]
    columns = [
        Column(key="issue", label="Doubtful amounts"),
        Column(key="requests", label="Calls", numeric=True),
        Column(key="cost_usd", label="Counted", numeric=True),
    ]
    title = "Amounts that are missing or in doubt"
    table = Table(id="cost-issues", title=title, columns=columns, rows=rows, folded=True)
    return [table] if rows else []


def _add(sums: list[float], parts: tuple[float | None, ...]) -> None:
    for place, part in enumerate(parts):
        sums[place] += part or 0.0


def findings(edition: Edition) -> list[Finding]:
    found = unpriced(edition)
    if not found:
        return []
    calls = sum(one.requests for one in found)
    total = edition.usage.total("requests", edition.first, edition.last)
    prose: Prose = [
        figure(calls, "count"),
        " calls (",
        figure(calls / total if total else None, "ratio"),
        ") have no price, most of them to ",
        name(found[0].model, 60),
        ": spend is understated.",
    ]
    evidence = [Link(text="evidence", href="#prices")]
    if view := edition.view("model", found[0].model):
        evidence.append(Link(text="calls", href=view))
    return [
        Finding(status="watch", topic="Data", prose=prose, evidence=evidence, weight=calls / 1000)
    ]


def decisions(edition: Edition) -> list[Decision]:
    return [
        Decision(prose=["Add a price for ", name(one.model, 60), " to the price file."])
        for one in unpriced(edition)[:2]
    ]


def books(edition: Edition) -> list[str]:
    """Hashes of the price books that priced the period."""
    first, last = edition.first, edition.last
    return sorted(
        {book for day, book in edition.marts.price_books if book and first <= day <= last}
    )


def overhead(edition: Edition) -> Cell:
    """What judges and experiments cost; never in product spend."""
    usd = edition.marts.daily(None, True).usd(edition.first, edition.last)
    return cell(usd, "usd", note=["judges and experiments; never in product spend"])


def told(hashes: list[str]) -> str:
    return ", ".join(book[:12] for book in hashes) or write(None, "text")
