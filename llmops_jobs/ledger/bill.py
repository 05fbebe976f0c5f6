"""A provider's bill beside the ledger, by day and model.

Reads CSV in FOCUS columns and the usage exports of the large providers: the columns for the day,
the model, the money and the currency are recognised by name, or named in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pandas as pd

from llmops_jobs.errors import UserError
from llmops_jobs.ledger.settings import Bill

#: What a column is called, best first; compared without case, spaces and underscores.
_NAMES: dict[str, tuple[str, ...]] = {
    "day": (
        *("chargeperiodstart", "day", "date", "usagedate", "usagedateutc", "usagestartdate"),
        *("starttimeiso", "starttime", "timestamp"),
    ),
    "model": (
        *("xmodel", "model", "modelversion", "modelname", "skumeter", "skuid", "lineitem"),
        *("metername", "skudescription", "description", "service"),
    ),
    "cost": (
        *("billedcost", "effectivecost", "cost", "costusd", "amount", "amountvalue", "costinusd"),
        *("pretaxcost", "costinbillingcurrency", "lineitemunblendedcost", "usd", "total"),
    ),
    "currency": ("billingcurrency", "currency", "amountcurrency", "costcurrency"),
}


@dataclass(frozen=True)
class BillLines:
    """A bill, summed by day and model. `unread` counts lines without a day or an amount."""

    name: str
    provider: str
    lines: pd.DataFrame  # day, model, currency, billed (Decimal)
    unread: int


def read_bill(bill: Bill) -> BillLines:
    """Raises UserError that names the file and the column which is missing."""
    path = Path(bill.path)
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"ledger.bills names {path}, which does not exist") from None
    except (OSError, ValueError) as error:
        raise UserError(f"bill {path} cannot be read as CSV: {error}") from error
    columns = {what: _column(path, rows, what, getattr(bill.columns, what)) for what in _NAMES}
    days = [_day(text) for text in rows[columns["day"]]]
    amounts = [_amount(text) for text in rows[columns["cost"]]]
    currencies = (
        rows[columns["currency"]] if columns["currency"] else pd.Series(["USD"] * len(rows))
    )
    lines = pd.DataFrame(
        {
            "day": days,
            "model": [_model(text) for text in rows[columns["model"]]],
            "currency": [text.strip().upper() or "USD" for text in currencies],
            "billed": amounts,
        },
        dtype=object,
    )
    good = lines["day"].notna() & lines["billed"].notna()
    summed = (
        lines[good]
        .groupby(["day", "model", "currency"], as_index=False)["billed"]
        .agg(lambda values: sum(values, Decimal(0)))
    )
    # Days on which nothing was used are lines without an amount: nothing to read.
    blank = [not text.strip() for text in rows[columns["cost"]]]
    unread = int((~good & ~(lines["day"].notna() & pd.Series(blank, dtype=bool))).sum())
    return BillLines(bill.name or path.stem, bill.provider, summed, unread)


def compare(bill: BillLines, usage: pd.DataFrame, day: date, tolerance: float) -> pd.DataFrame:
    """A day's rows of `bill_audit`.

    `usage` holds `provider, model, requests, cost_usd`. A model of the ledger meets the line of
    the bill whose name is its own or contains it; dates, "-" and "." in names do not matter.
    A uniform ratio over the models of a day is told as a discount.
    """
    columns = ["bill", "model", "cause", "requests", "cost_usd", "billed_usd", "difference_usd"]
    lines = bill.lines[bill.lines["day"] == day] if len(bill.lines) else bill.lines
    if lines.empty:  # a day that the bill does not reach is not a difference
        return pd.DataFrame(columns=[*columns, "ratio"])
    if bill.provider:
        usage = usage[usage["provider"].str.lower() == bill.provider.lower()]
    ours: dict[str, list[Any]] = {}
    for row in usage.itertuples():
        name = _line_for(str(row.model), lines["model"].tolist()) or str(row.model)
        total = ours.setdefault(name, [0, Decimal(0)])
        total[0] += int(row.requests)
        total[1] += row.cost_usd
    rows = []
    for line in lines.itertuples():
        requests, cost = ours.pop(str(line.model), (0, Decimal(0)))
        foreign = line.currency != "USD"
        rows.append((str(line.model), requests, cost, None if foreign else line.billed))
    rows += [(name, requests, cost, Decimal(0)) for name, (requests, cost) in ours.items()]
    discount = _uniform_ratio(rows, tolerance)
    told = [
        (bill.name, name, _cause(cost, billed, discount, tolerance), requests, cost, billed)
        for name, requests, cost, billed in rows
    ]
    frame = pd.DataFrame(told, columns=columns[:-1], dtype=object)
    frame["difference_usd"] = [
        None if billed is None else cost - billed
        for cost, billed in zip(frame["cost_usd"], frame["billed_usd"], strict=True)
    ]
    frame["ratio"] = [
        float(billed / cost) if billed is not None and cost else None
        for cost, billed in zip(frame["cost_usd"], frame["billed_usd"], strict=True)
    ]
    return frame.sort_values("model")


def _cause(cost: Decimal, billed: Decimal | None, discount: float | None, tolerance: float) -> str:
    if billed is None:
        return "other_currency"
    if cost == 0 and billed != 0:
        return "not_in_ledger"
    if billed == 0 and cost != 0:
        return "not_on_bill"
    # Bills are rounded to the cent.
    if abs(cost - billed) <= max(Decimal("0.005"), Decimal(str(tolerance)) * cost):
        return "agreed"
    if discount is not None and abs(float(billed / cost) - discount) <= 0.005:
        return "discount"
    return "difference"


def _uniform_ratio(
    rows: Sequence[tuple[str, int, Decimal, Decimal | None]], tolerance: float
) -> float | None:
    """billed / ours where at least two models share it and it is below one."""
    ratios = [float(billed / cost) for _, _, cost, billed in rows if billed and cost]
    if len(ratios) < 2 or max(ratios) - min(ratios) > 0.005 or max(ratios) > 1 - tolerance:
        return None
    return sum(ratios) / len(ratios)


def _line_for(model: str, lines: Sequence[str]) -> str | None:
    """The line that names the model: equal, else the longest that it begins with or is part of."""
    plain = _plain(model)
    for line in lines:
        if _plain(line) == plain:
            return line
    # Anthropic's bill has "Claude Sonnet 3.5" for claude-3-5-sonnet: the same words.
    for line in lines:
        if plain and sorted(_plain(line).split()) == sorted(plain.split()):
            return line
    inside = [line for line in lines if plain and _whole_word(plain, _plain(line))]
    return min(inside, key=len) if inside else None


def _model(text: str) -> str:
    """The model of a line: OpenAI's bill has a line a meter ("gpt-4o-2024-08-06, input")."""
    return text.strip().partition(", ")[0][:255] or "(no model)"


def _plain(name: str) -> str:
    name = re.sub(r"[-@]?20\d{2}-?\d{2}-?\d{2}", "", name.lower())
    return re.sub(r"[^a-z0-9]+", " ", name.rsplit("/", 1)[-1]).strip()


def _whole_word(model: str, line: str) -> bool:
    """The line speaks of this model and not of a larger name (gpt-4o, gpt-4o-mini)."""
    found = re.search(
        rf"\b{re.escape(model)}\b(?! (?:mini|nano|micro|pro|lite|large|turbo)\b)", line
    )
    return found is not None


def _column(path: Path, rows: pd.DataFrame, what: str, configured: str | None) -> str:
    if configured is not None:
        if configured not in rows.columns:
            raise UserError(
                f"bill {path} has no column {configured!r}: it has {', '.join(rows.columns)}"
            )
        return configured
    plain: Mapping[str, str] = {re.sub(r"[^a-z]", "", str(c).lower()): str(c) for c in rows.columns}
    for name in _NAMES[what]:
        if name in plain:
            return plain[name]
    if what == "currency":
        return ""
    raise UserError(
        f"bill {path}: no column for the {what} is recognised among {', '.join(rows.columns)}; "
        f"name it in ledger.bills.columns.{what}"
    )


def _day(text: str) -> date | None:
    text = text.strip()
    if re.fullmatch(r"\d{9,11}", text):
        return pd.Timestamp(int(text), unit="s").date()
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _amount(text: str) -> Decimal | None:
    plain = text.strip().replace("$", "").replace(",", "")
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
