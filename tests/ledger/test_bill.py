"""A provider's bill beside the ledger."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from llmops_jobs.errors import UserError
from llmops_jobs.ledger.bill import compare, read_bill
from llmops_jobs.ledger.settings import Bill, BillColumns

DAY = date(2026, 3, 4)


def usage(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"provider": "openai", "model": model, "requests": 10, "cost_usd": Decimal(usd)}
            for model, usd in rows
        ]
    )


def causes(tmp_path: Path, text: str, *rows: tuple[str, str]) -> dict[str, str]:
    path = tmp_path / "invoice.csv"
    path.write_text(text, encoding="utf-8")
    told = compare(read_bill(Bill(path=str(path))), usage(*rows), DAY, 0.001)
    return dict(zip(told["model"], told["cause"], strict=True))


def test_a_bill_that_agrees_to_the_cent_agrees(tmp_path: Path) -> None:
    text = "date,model,cost_usd\n2026-03-04,gpt-4o-2024-08-06,$12.34\n2026-03-05,gpt-4o,99\n"
    assert causes(tmp_path, text, ("gpt-4o", "12.336")) == {"gpt-4o-2024-08-06": "agreed"}


def test_what_only_one_of_the_two_has_is_named(tmp_path: Path) -> None:
    text = "Date,Model,Amount\n2026-03-04,gpt-4o,5\n2026-03-04,whisper-1,3\n"
    told = causes(tmp_path, text, ("gpt-4o", "5"), ("gpt-4o-mini", "2"))
    assert told == {"gpt-4o": "agreed", "whisper-1": "not_in_ledger", "gpt-4o-mini": "not_on_bill"}


def test_the_same_share_off_every_model_is_a_discount(tmp_path: Path) -> None:
    text = "day,model,cost\n2026-03-04,a,8\n2026-03-04,b,16\n"
    assert set(causes(tmp_path, text, ("a", "10"), ("b", "20")).values()) == {"discount"}


def test_another_currency_is_told_and_not_compared(tmp_path: Path) -> None:
    text = "ChargePeriodStart,SkuId,BilledCost,BillingCurrency\n2026-03-04T00:00:00Z,a,8,EUR\n"
    assert causes(tmp_path, text, ("a", "10")) == {"a": "other_currency"}


def test_a_day_that_the_bill_does_not_reach_is_no_difference(tmp_path: Path) -> None:
    assert causes(tmp_path, "day,model,cost\n2026-03-03,a,8\n", ("a", "10")) == {}


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_text("day,model,cost\nTotal,,8\n2026-03-04,a,n/a\n2026-03-04,a,1\n")
    bill = read_bill(Bill(path=str(path)))
    assert (bill.unread, len(bill.lines)) == (2, 1)


def test_a_bill_without_a_known_column_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_text("when,what,how_much\n2026-03-04,a,1\n")
    with pytest.raises(UserError, match=r"no column for the day .* when, what, how_much"):
        read_bill(Bill(path=str(path)))
    named = BillColumns(day="when", model="what", cost="how_much")
    assert len(read_bill(Bill(path=str(path), columns=named)).lines) == 1
    with pytest.raises(UserError, match="does not exist"):
        read_bill(Bill(path=str(tmp_path / "none.csv")))


OPENAI = """\
start_time,start_time_iso,amount_value,amount_currency,quantity,line_item,project_id
1772496000,2026-03-03T00:00:00+00:00,,,,,
1772582400,2026-03-04T00:00:00+00:00,1.25,usd,500000,"gpt-4o-2024-08-06, input",p
1772582400,2026-03-04T00:00:00+00:00,0.25,usd,200000,"gpt-4o-2024-08-06, cached input",p
1772582400,2026-03-04T00:00:00+00:00,8.5,usd,850000,"gpt-4o-2024-08-06, output",p
1772582400,2026-03-04T00:00:00+00:00,3,usd,300,"whisper-1",p
"""
ANTHROPIC = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type
2026-03-04,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,2.00,2.00,token
2026-03-04,Claude Haiku 4.5,Default,k,message,≤ 200k,output,3.00,3.00,token
2026-03-04,Claude Sonnet 3.5,Default,k,message,≤ 200k,output,7.00,7.00,token
2026-03-04,,Default,k,,,,0.10,0.10,web_search
"""


@pytest.mark.parametrize(
    ("text", "ledger", "expected"),
    [
        (
            OPENAI,
            [("gpt-4o", "10.00"), ("gpt-4o-mini", "1")],
            {"gpt-4o-2024-08-06": "agreed", "whisper-1": "not_in_ledger"}
            | {"gpt-4o-mini": "not_on_bill"},
        ),
        (
            ANTHROPIC,
            [("claude-haiku-4-5-20251001", "5"), ("claude-3-5-sonnet-20241022", "9")],
            {"Claude Haiku 4.5": "agreed", "Claude Sonnet 3.5": "difference"}
            | {"(no model)": "not_in_ledger"},
        ),
    ],
)
def test_the_exports_of_providers_are_read_as_they_come(
    tmp_path: Path, text: str, ledger: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(text, encoding="utf-8")
    assert read_bill(Bill(path=str(path))).unread == 0
    assert causes(tmp_path, text, *ledger) == expected
