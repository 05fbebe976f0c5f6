"""One project's day through each step of the ledger: read, compute, replace, and what to tell."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_jobs.days import by_day
from llmops_jobs.lake import schema
from llmops_jobs.ledger.book import load_book

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from llmops_jobs.deployment import Deployment

_LARGE_DAY = 250_000  # model calls


def price_days(
    work: Iterable[tuple[Deployment, str, date]],
) -> Iterator[tuple[date, dict[str, Any]]]:
    """Prices days in their order, two at a time: one is computed while another is written.

    Large days go one by one, so that memory is that of a single day.
    """
    waiting: deque[tuple[date, Future[dict[str, Any]]]] = deque()
    most = 1
    with ThreadPoolExecutor(max_workers=2) as pool:
        for home, project, day in work:
            waiting.append((day, pool.submit(price_day, home, project, day)))
            while len(waiting) >= most:
                done, told = waiting.popleft()
                yield done, told.result()
                most = 2 if told.result()["dagster/row_count"] <= _LARGE_DAY else 1
        for done, told in waiting:
            yield done, told.result()


def price_day(home: Deployment, project: str, day: date) -> dict[str, Any]:
    """Prices a day's calls into the lake's `costs`. Reads the lake only; a large day in parts, so
    that memory does not grow with it."""
    import pyarrow.compute as pc

    from llmops_jobs.lake.files import parts
    from llmops_jobs.ledger.pricing import COLUMNS, price

    book = load_book(home.settings.ledger)
    count, unpriced, usd = 0, 0, Decimal(0)

    def told(rows: pa.Table) -> pa.Table:
        nonlocal count, unpriced, usd
        count += rows.num_rows
        unpriced += pc.sum(pc.equal(rows["price_status"], "unpriced")).as_py() or 0
        usd += pc.sum(rows["cost_usd"]).as_py() or 0
        return rows

    read = parts(home.lake, "observations", project, day, COLUMNS)
    priced = (told(price(book, part)) for part in read)
    first = list(itertools.islice(priced, 1))
    # As a stream even where it is one part: it costs half of writing a table.
    rows = itertools.chain(first, priced) if first else schema.empty("costs")
    home.lake.replace_day("costs", project, day, rows)
    return {
        "dagster/row_count": count,
        "cost_usd": float(usd),
        "unpriced_requests": unpriced,
        "price_book_hash": book.hash,
    }


def aggregate_days(
    home: Deployment, project: str, days: Sequence[date]
) -> Iterator[tuple[date, dict[str, Any]]]:
    """Fills `usage_daily`, `cost_issue_daily` and `top_spender` for days."""
    from llmops_jobs.ledger.marts import cost_issues, daily_spenders, usage_daily

    settings = home.settings.ledger
    source = (home.engine, home.lake, project, days)
    usages = usage_daily(*source, load_book(settings).hash)
    issues = cost_issues(*source)
    spenders = daily_spenders(*source, settings.top_spenders)
    home.database.replace_days("usage_daily", project, days, usages)
    home.database.replace_days("cost_issue_daily", project, days, issues)
    home.database.replace_days("top_spender", project, days, spenders)
    for day, usage, doubtful in by_day(days, usages, issues):
        yield day, _told_of(usage, doubtful)


def _told_of(usage: pd.DataFrame, issues: pd.DataFrame) -> dict[str, Any]:
    evaluation = usage["is_evaluation"].astype(bool)
    unpriced = usage["price_status"] == "unpriced"
    return {
        "dagster/row_count": len(usage),
        "requests": int(usage["requests"].sum()),
        "product_usd": float(sum(usage[~evaluation]["cost_usd"], Decimal(0))),
        "evaluation_usd": float(sum(usage[evaluation]["cost_usd"], Decimal(0))),
        "unpriced_requests": int(usage[unpriced]["requests"].sum()),
        "doubtful_requests": int(issues["requests"].sum()),
    }


def audit_days(
    home: Deployment, project: str, days: Sequence[date]
) -> Iterator[tuple[date, dict[str, Any]]]:
    """Fills `cost_audit`, and `bill_audit` from the bills that are configured, for days."""
    from llmops_jobs.ledger.audit import audit

    settings = home.settings.ledger
    found = audit(load_book(settings), _calls_and_costs(home, project, days), settings.tolerance)
    home.database.replace_days("cost_audit", project, days, found)
    for day, rows in by_day(days, found):
        differing = rows[~rows["cause"].isin(["agreed", "missing_price_here"])]
        yield (
            day,
            {
                "dagster/row_count": len(rows),
                "difference_usd": float(sum(rows["difference_usd"], Decimal(0))),
                "differing_requests": int(differing["requests"].sum()),
                **_compare_bills(home, project, day),
            },
        )


def _calls_and_costs(
    home: Deployment, project: str, days: Sequence[date]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """What the audit reads: small days at once, of a large one a part after the other.

    The costs of a part are the next ones of the day, which were written in the order of its calls;
    where they were not, all of the day's.
    """
    import pyarrow as pa

    from llmops_jobs.lake.files import parts
    from llmops_jobs.ledger.audit import READ, READ_COSTS
    from llmops_jobs.ledger.pricing import model_calls, same_calls

    lake = home.lake
    if len(days) > 1:
        yield (
            lake.read_days("observations", project, days, READ),
            lake.read_days("costs", project, days, READ_COSTS),
        )
        return
    for day in days:
        following = parts(lake, "costs", project, day, READ_COSTS)
        waiting, in_order = schema.empty("costs").select(READ_COSTS), True
        for observations in parts(lake, "observations", project, day, READ):
            calls = model_calls(observations)
            while in_order and waiting.num_rows < calls.num_rows:
                more = next(following, None)
                if more is None:
                    break
                waiting = pa.concat_tables([waiting, more])
            costs = waiting.slice(0, calls.num_rows)
            if in_order and same_calls(calls, costs):
                waiting = waiting.slice(calls.num_rows)
            elif in_order:
                waiting, in_order = lake.read_day("costs", project, day, READ_COSTS), False
            yield observations, costs if in_order else waiting


def _compare_bills(home: Deployment, project: str, day: date) -> dict[str, Any]:
    """Fills `bill_audit` for a day, and tells what was billed."""
    import pandas as pd

    from llmops_jobs.ledger.bill import compare, read_bill

    settings = home.settings.ledger
    if not settings.bills:
        home.database.replace_day("bill_audit", project, day, pd.DataFrame())
        return {}
    usage = home.database.table("usage_daily", project, day, day)
    bills = [read_bill(bill) for bill in settings.bills]
    compared = pd.concat([compare(bill, usage, day, settings.tolerance) for bill in bills])
    home.database.replace_day("bill_audit", project, day, compared)
    if compared.empty:
        return {}
    return {
        "billed_usd": float(sum(compared["billed_usd"].dropna(), Decimal(0))),
        "unread_bill_lines": sum(bill.unread for bill in bills),
    }


def explain_days(
    home: Deployment, project: str, days: Sequence[date]
) -> Iterator[tuple[date, dict[str, Any]]]:
    """Fills `attempt_daily` and `spend_change` for days, each as of itself."""
    from llmops_jobs.ledger.change import explain
    from llmops_jobs.ledger.marts import attempts

    grouped = attempts(home.engine, home.lake, project, days)
    home.database.replace_days("attempt_daily", project, days, grouped)
    changes = explain(home.database, project, days, home.settings.ledger.change_scopes)
    home.database.replace_days("spend_change", project, days, changes)
    for day, rows in by_day(days, changes):
        total = rows[(rows["scope"] == "total") & (rows["period"] == "day")]
        effects = zip(total["factor"], total["effect_usd"], strict=True)
        yield (
            day,
            {"dagster/row_count": len(rows)}
            | {f"{factor}_usd": float(effect) for factor, effect in effects},
        )
