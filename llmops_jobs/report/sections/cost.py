"""Who spends: by feature, model and tenant; what an outcome costs; the largest single spenders."""

from __future__ import annotations

from typing import Any

from llmops_jobs.report.daily import NANO, Daily
from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.masking import masked
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Section,
    Table,
    Text,
    cell,
    interval,
    label,
    numbers,
)
from llmops_jobs.report.words import clean, write

_TITLES = {"feature": "Feature", "model": "Model", "tenant": "Tenant", "project_id": "Project"}


def section(edition: Edition) -> Section:
    splits = ["feature", "model", "tenant"]
    if len(edition.marts.projects) > 1:
        splits.insert(0, "project_id")
    tables = [breakdown(edition, split) for split in splits]
    tables += [_outcomes(edition), _spenders(edition)]
    blocks: list[Block] = [table for table in tables if table is not None]
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
        traces=edition.calls(),
    )


def breakdown(edition: Edition, split: str) -> Table | None:
    """The largest values of a split, the rest summed, and the total."""
    daily = edition.by(split)
    first, last = edition.first, edition.last
    calls, cost = (daily.totals(measure, first, last) for measure in ("requests", "cost"))
    ranked = sorted(
        (value for value in daily.values if calls[value]), key=lambda value: (-cost[value], value)
    )
    if not ranked or (split != "feature" and ranked == [""]):
        return None
    whole = sum(cost[value] for value in ranked)
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
        _change(edition, daily, values),
        cell(cost / whole if whole else None, "share", share=cost / whole if whole else None),
        cell(requests, "count"),
        cell(cost / NANO / requests * 1000 if requests else None, "usd"),
        cell(tokens / requests if requests else None, "count"),
        cell(total("cache_read_tokens") / tokens_in if tokens_in else None, "share"),
        Cell(text="", spark=numbers(spark)),
    ]


def _change(edition: Edition, daily: Daily, values: list[str]) -> Cell:
    spends = daily.windows("cost", edition.first, edition.last, *values) / NANO
    judged = edition.judge(spends, relative=True)
    if judged.change is None:
        new = judged.before == 0 and (judged.now or 0) > 0
        return Cell(text="new" if new else "–")
    status = "watch" if judged.real and judged.change > 0 else "ok" if judged.real else "none"
    told = {None: "", True: "real change", False: "usual"}[judged.real]
    return cell(judged.change, "relative", status=status, note=[told] if told else None)


_UNITS = ("successful_request", "passed_evaluation", "positive_feedback", "session")


def _outcomes(edition: Edition) -> Table | None:
    """What an outcome costs; the interval is that of a day, so it is shown for days alone."""
    rows = []
    for unit in _UNITS:
        found = [row for row in of_unit(edition, unit) if row.n]
        if not found:
            continue
        n = sum(row.n for row in found)
        usd = sum(row.cost_usd or 0.0 for row in found) / n
        low, high = (found[0].low, found[0].high) if len(found) == 1 else (None, None)
        known = None not in (low, high)
        by_day = {
            row.day: row.usd_per_unit
            for row in edition.marts.rows("unit_cost_daily", *edition.history)
            if row.unit == unit
        }
        spark = numbers(by_day.get(day) for day in edition.history_days)
        rows.append(
            [
                Cell(text=unit.replace("_", " ")),
                cell(usd, "usd", note=interval(low, high, "usd") if known else None),
                cell(round(n), "count"),
                Cell(text="", spark=spark if len(edition.marts.projects) == 1 else None),
            ]
        )
    if not rows:
        return None
    columns = [
        Column(key="unit", label="Outcome"),
        Column(key="usd_per_unit", label="Cost each", numeric=True, help="all spend / outcomes"),
        Column(key="n", label="Outcomes", numeric=True),
        Column(key="spark", label=f"{len(edition.history_days)} days"),
    ]
    return Table(
        id="cost-per-outcome", title="Per outcome", columns=columns, rows=rows, folded=True
    )


def of_unit(edition: Edition, unit: str) -> list[Any]:
    rows = edition.marts.rows("unit_cost_daily", edition.first, edition.last)
    return [row for row in rows if row.unit == unit]


def _spenders(edition: Edition) -> Table | None:
    """Users, sessions and traces among the five largest of some day, by what they spent then."""
    sums: dict[tuple[str, str], list[float]] = {}
    for row in edition.marts.rows("spenders", edition.first, edition.last):
        if row.kind != "tenant":
            both = sums.setdefault((row.kind, row.subject), [0.0, 0])
            both[0] += row.cost_usd or 0.0
            both[1] += row.requests
    rows = []
    whole = edition.usage.usd(edition.first, edition.last)
    for kind in ("user", "session", "trace"):
        ranked = sorted(
            (key for key in sums if key[0] == kind), key=lambda key: (-sums[key][0], key)
        )
        for key in ranked[:3]:
            usd, requests = sums[key]
            rows.append(
                [
                    label(masked(key[1], 60), 60, href=_spender(edition, *key)),
                    Cell(text=kind),
                    cell(usd, "usd"),
                    cell(usd / whole if whole else None, "ratio"),
                    cell(requests, "count"),
                ]
            )
    if not rows:
        return None
    columns = [
        Column(key="subject", label="Spender"),
        Column(key="kind", label="Kind"),
        Column(key="cost_usd", label="Cost", numeric=True),
        Column(key="share", label="Of spend", numeric=True),
        Column(key="requests", label="Requests", numeric=True),
    ]
    title = "Largest single spenders"
    if edition.window > 1:
        title += ", on the days when they were among the first five"
    return Table(id="spenders", title=title, columns=columns, rows=rows, folded=True)


def _spender(edition: Edition, kind: str, subject: str) -> str | None:
    if kind == "trace":
        return edition.links.trace(subject)
    if masked(subject, 1_000) != clean(subject, 1_000):
        return None  # an address would say what the cell does not
    return edition.traces(any_of("userId" if kind == "user" else "sessionId", subject))
