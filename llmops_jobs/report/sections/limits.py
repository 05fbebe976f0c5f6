"""Rate limits: which providers refused calls, and at which hour of the day most."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import Block, Cell, Column, Table, cell, figure, interval, label
from llmops_jobs.signals.intervals import wilson


def blocks(edition: Edition) -> list[Block]:
    """Providers that refused calls for a rate limit or quota, and their worst hour."""
    hours: dict[str, list[list[int]]] = {}
    for row in edition.marts.rows("limits", edition.first, edition.last):
        both = hours.setdefault(row.provider, [[0, 0] for _ in range(24)])[row.hour]
        both[0] += row.requests
        both[1] += row.rate_limited
    refused = {p: sum(limited for _, limited in h) for p, h in hours.items()}
    ranked = sorted((p for p in hours if refused[p]), key=lambda p: (-refused[p], p))
    if not ranked:
        return []
    rows = []
    for provider in ranked[: edition.settings.rows]:
        by_hour = hours[provider]
        n = sum(requests for requests, _ in by_hour)
        low, high = wilson(refused[provider], n)
        worst = max(range(24), key=lambda hour: (by_hour[hour][1], -hour))
        rows.append(
            [
                label(provider, 40),
                cell(refused[provider], "count"),
                cell(refused[provider] / n, "ratio", note=interval(low, high, "ratio")),
                Cell(text=f"{worst:02d}:00", note=[figure(by_hour[worst][1], "count"), " refused"]),
                Cell(text="", spark=[limited for _, limited in by_hour]),
            ]
        )
    columns = [
        Column(key="provider", label="Provider"),
        Column(key="rate_limited", label="Refused", numeric=True),
        Column(key="share", label="Of its calls", numeric=True),
        Column(key="hour", label="Worst hour (UTC)"),
        Column(key="spark", label="By hour of day"),
    ]
    return [
        Table(
            id="rate-limits",
            title="Rate limits, by provider",
            columns=columns,
            rows=rows,
            traces=edition.calls(any_of("level", "ERROR")),
            folded=True,
        )
    ]
