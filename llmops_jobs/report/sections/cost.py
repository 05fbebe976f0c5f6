"""Who spends: by feature, model and tenant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from llmops_jobs.report.daily import NANO, Daily
from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import Block, Cell, Column, Section, Table, Text, cell, label, numbers
from llmops_jobs.report.words import write

_TITLES = {"feature": "Feature", "model": "Model", "tenant": "Tenant", "project_id": "Project"}


def section(edition: Edition) -> Section:
    blocks: list[Block] = []
    splits = ["feature", "model", "tenant"]
    if len(edition.marts.projects) > 1:
        splits.insert(0, "project_id")
    for split in splits:
        table = breakdown(edition, split)
        if table is not None:
            blocks.append(table)
    if not blocks:
        blocks = [Text(prose=["No model call was priced in this period."])]
    return Section(
        id="cost",
        title="Cost breakdown",
        lead=[
            "Product spend by price book, largest first; evaluation overhead is not in it. The "
            "change is against the comparable period before; “usual” marks changes within the "
            "ups and downs of the weeks before."
        ],
        blocks=blocks,
    )


def breakdown(edition: Edition, split: str) -> Table | None:
    """The largest values of a split, the rest summed, and the total."""
    daily = edition.by(split)
    first, last = edition.first, edition.last
    ranked = sorted(
        (value for value in daily.values if daily.total("requests", first, last, value)),
        key=lambda value: (-daily.total("cost", first, last, value), value),
    )
    if not ranked or (split != "feature" and ranked == [""]):
        return None
    whole = sum(daily.total("cost", first, last, value) for value in ranked)
    shown, rest = ranked[: edition.settings.rows], ranked[edition.settings.rows :]
    if len(rest) == 1:
        shown, rest = ranked, []
    rows = [_row(edition, daily, split, [value], whole) for value in shown]
    if rest:
        rows.append(_row(edition, daily, split, rest, whole))
    total = _row(edition, daily, split, ranked, whole)
    total[0] = Cell(text="Total")
    total[3] = total[3].model_copy(update={"share": None})
    columns = [
        Column(key=split, label=_TITLES[split]),
        Column(key="cost_usd", label="Cost", numeric=True),
        Column(key="change", label="Change", numeric=True),
        Column(key="share", label="Share", numeric=True),
        Column(key="requests", label="Requests", numeric=True),
        Column(key="usd_per_1000", label="Cost / 1k req", numeric=True),
        Column(key="tokens_per_request", label="Tokens / req", numeric=True, help="in and out"),
        Column(key="cache_hit", label="Cache hit", numeric=True, help="share of input tokens"),
        Column(key="spark", label=f"{len(edition.history_days)} days"),
    ]
    return Table(
        id=f"cost-by-{split}",
        title=f"By {_TITLES[split].lower()}",
        columns=columns,
        rows=rows,
        total=total,
    )


def _row(edition: Edition, daily: Daily, split: str, values: list[str], whole: int) -> list[Cell]:
    def total(measure: str) -> int:
        return daily.total(measure, edition.first, edition.last, *values)

    def spend(first: date, last: date) -> float | None:
        nano = daily.whole("cost", first, last, *values)
        return None if nano is None else nano / NANO

    cost, requests, tokens_in = total("cost"), total("requests"), total("input_tokens")
    tokens = tokens_in + total("output_tokens")
    if len(values) == 1:
        head = label(values[0], href=edition.view(split, values[0]))
    else:
        head = Cell(text=f"{write(len(values), 'count')} others", value=len(values))
    spark = daily.usd_series(*edition.history, *values)
    return [
        head,
        cell(cost / NANO, "usd"),
        _change(edition, spend),
        cell(cost / whole if whole else None, "share", share=cost / whole if whole else None),
        cell(requests, "count"),
        cell(cost / NANO / requests * 1000 if requests else None, "usd"),
        cell(tokens / requests if requests else None, "count"),
        cell(total("cache_read_tokens") / tokens_in if tokens_in else None, "share"),
        Cell(text="", spark=numbers(spark)),
    ]


def _change(edition: Edition, spend: Callable[[date, date], float | None]) -> Cell:
    judged = edition.judge(spend, relative=True)
    if judged.change is None:
        new = judged.before == 0 and (judged.now or 0) > 0
        return Cell(text="new" if new else "–")
    status = "watch" if judged.real and judged.change > 0 else "ok" if judged.real else "none"
    told = {None: "", True: "real change", False: "usual"}[judged.real]
    return cell(judged.change, "relative", status=status, note=[told] if told else None)
