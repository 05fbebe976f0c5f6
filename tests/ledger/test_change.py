"""Why spend changed: parts that mean what they say and sum to the change to the last digit."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_jobs.ledger.change import explain
from llmops_jobs.ledger.factors import FACTORS
from llmops_jobs.ledger.lmdi import effects, to_the_nano
from llmops_jobs.store import Database
from tests.facts import DAY, PROJECT

TODAY = DAY + timedelta(days=1)


def use(
    database: Database, day: Any, *rows: dict[str, Any], logical: dict[str, int] | None = None
) -> None:
    """Usage rows, priced at one dollar a million in and four out (a tenth for cached)."""
    filled = []
    for row in rows:
        cell = {"model": "m", "tenant": "acme", "feature": "chat", "price": Decimal(1), **row}
        cell = {"requests": 0, "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0} | cell
        price = cell.pop("price") / 1_000_000
        cell["input_usd"] = (cell["input_tokens"] - cell["cache_read_tokens"]) * price
        cell["cache_read_usd"] = cell["cache_read_tokens"] * price / 10
        cell["output_usd"] = cell["output_tokens"] * price * 4
        cell["cost_usd"] = cell["input_usd"] + cell["cache_read_usd"] + cell["output_usd"]
        cell |= {"cache_write_usd": Decimal(0), "other_usd": Decimal(0), "reported_cost_usd": 0}
        blank = ("environment", "provider", "prompt_name", "prompt_version", "price_book_hash")
        cell |= dict.fromkeys(blank, "") | {"price_status": "list", "is_evaluation": False}
        filled.append(cell)
    database.replace_day("usage_daily", PROJECT, day, pd.DataFrame(filled))
    if logical is not None:
        grouped = [
            {k: row.get(k, "m" if k == "model" else "") for k in ("model", "provider")}
            | {"feature": "chat", "tenant": "acme", "attempts": row["requests"]}
            | {"logical_calls": logical[row.get("model", "m")]}
            for row in filled
        ]
        database.replace_day("attempt_daily", PROJECT, day, pd.DataFrame(grouped))


def changes(database: Database, scope: str = "total", period: str = "day") -> dict[str, Decimal]:
    rows = explain(database, PROJECT, [TODAY], 100)
    rows = rows[(rows["scope"] == scope) & (rows["period"] == period)]
    assert sum(rows["effect_usd"]) == rows["after_usd"].iloc[0] - rows["before_usd"].iloc[0]
    return dict(zip(rows["factor"], rows["effect_usd"], strict=True))


def only(factor: str, told: dict[str, Decimal]) -> Decimal:
    """The factor's effect, when no other has one."""
    others = {name: float(usd) for name, usd in told.items() if name != factor}
    assert others == pytest.approx(dict.fromkeys(others, 0.0), abs=2e-9)
    return told[factor]


MILLION = {"requests": 1000, "input_tokens": 1_000_000}


def test_more_requests_are_volume(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, {"requests": 1500, "input_tokens": 1_500_000})
    assert only("volume", changes(database)) == Decimal("0.5")


def test_longer_requests_are_tokens_per_request(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, {"requests": 1000, "input_tokens": 3_000_000})
    assert only("tokens_per_request", changes(database)) == Decimal(2)


def test_a_new_price_is_price(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, {**MILLION, "price": Decimal("0.8")})
    assert only("price", changes(database)) == Decimal("-0.2")


def test_a_first_price_is_price(database: Database) -> None:
    use(database, DAY, {**MILLION, "price": Decimal(0)})
    use(database, TODAY, MILLION)
    assert only("price", changes(database)) == Decimal(1)


def test_cached_input_is_cache(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, {**MILLION, "cache_read_tokens": 500_000})
    assert only("cache", changes(database)) == Decimal("-0.45")


def test_attempts_without_more_calls_are_retries(database: Database) -> None:
    use(database, DAY, MILLION, logical={"m": 1000})
    use(database, TODAY, {"requests": 1200, "input_tokens": 1_200_000}, logical={"m": 1000})
    assert only("retries", changes(database)) == Decimal("0.2")


def test_calls_moved_to_a_dearer_model_are_mix(database: Database) -> None:
    dear = {"model": "dear", "price": Decimal(10)}
    use(database, DAY, MILLION)
    use(
        database,
        TODAY,
        {"requests": 900, "input_tokens": 900_000},
        {**dear, "requests": 100, "input_tokens": 100_000},
    )
    assert only("model_mix", changes(database)) == Decimal("0.9")


def test_a_new_tenant_is_volume_in_its_own_scope(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, MILLION, {**MILLION, "tenant": "new"})
    assert only("volume", changes(database, "tenant=new")) == Decimal(1)
    assert only("volume", changes(database, "tenant=acme")) == 0
    assert only("volume", changes(database, "feature=chat")) == Decimal(1)


def test_spend_that_stopped_is_volume(database: Database) -> None:
    use(database, DAY, MILLION)
    database.replace_day("usage_daily", PROJECT, TODAY, pd.DataFrame())
    assert only("volume", changes(database)) == Decimal(-1)


def test_money_without_tokens_is_a_residual_and_not_lost(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, MILLION)
    database.read("SELECT 1")
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE usage_daily SET cache_write_usd = 0.25, cost_usd = cost_usd + 0.25 "
            f"WHERE day = '{TODAY}'"
        )
    assert only("residual", changes(database)) == Decimal("0.25")


def test_a_week_is_compared_with_the_week_before(database: Database) -> None:
    for back in range(14):
        scale = 2 if back < 7 else 1
        tokens = 1_000_000 * scale
        use(
            database,
            TODAY - timedelta(days=back),
            {"requests": 1000 * scale, "input_tokens": tokens},
        )
    assert only("volume", changes(database, period="week")) == Decimal(7)


_SOME = st.integers(0, 10**7) | st.just(0)
_USE = st.dictionaries(
    st.tuples(*(st.sampled_from(names) for names in (("a", "b", ""), ("x", "y", ""), ("m", "n")))),
    st.tuples(st.integers(1, 500), _SOME, _SOME, st.decimals(0, 50, places=4)),
    max_size=6,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=_USE, after=_USE)
def test_any_two_days_differ_by_the_sum_of_the_parts_in_every_scope(
    database: Database, before: dict[Any, Any], after: dict[Any, Any]
) -> None:
    spent: dict[Any, dict[str, Decimal]] = {}
    for day, cells in ((DAY, before), (TODAY, after)):
        rows = [
            {"feature": feature, "tenant": tenant, "model": model, "requests": n, "price": price}
            | {"input_tokens": max(into, n), "output_tokens": out, "cache_read_tokens": into // 3}
            for (feature, tenant, model), (n, into, out, price) in cells.items()
        ]
        use(database, day, *rows)
        held = database.table("usage_daily", PROJECT, day, day)
        spent[day] = {"total": sum(held.get("cost_usd", []), Decimal(0))}
        for dimension in ("feature", "tenant") if len(held) else ():
            for name, usd in held.groupby(dimension)["cost_usd"]:
                spent[day][f"{dimension}={name}"] = sum(usd, Decimal(0))
    told = explain(database, PROJECT, [TODAY], 100)
    for scope, rows in told.groupby("scope"):
        change = spent[TODAY].get(scope, Decimal(0)) - spent[DAY].get(scope, Decimal(0))
        assert sum(rows["effect_usd"]) == change
    known = {scope for day in spent.values() for scope, usd in day.items() if usd}
    assert not before or known <= set(told["scope"])


def test_a_week_that_the_ledger_does_not_reach_is_left_out(database: Database) -> None:
    use(database, DAY, MILLION)
    use(database, TODAY, MILLION)
    assert set(explain(database, PROJECT, [TODAY], 100)["period"]) == {"day"}
    assert explain(database, PROJECT, [DAY], 100).empty


_CELLS = 4
_FACTORS = st.lists(
    st.lists(
        st.floats(0, 1e6) | st.just(0.0) | st.just(float("nan")), min_size=_CELLS, max_size=_CELLS
    ),
    min_size=6,
    max_size=6,
)


@given(before=_FACTORS, after=_FACTORS)
def test_the_effects_of_any_factors_sum_to_the_change(
    before: list[list[float]], after: list[list[float]]
) -> None:
    sides = [
        {name: np.array(values) for name, values in zip(FACTORS, side, strict=False)}
        for side in (before, after)
    ]
    split, rest = effects(*sides)
    x0, x1 = (np.array(list(side.values())) for side in sides)
    x0, x1 = np.where(np.isnan(x0), x1, x0), np.where(np.isnan(x1), x0, x1)
    change = np.nan_to_num(x1, nan=1).prod(axis=0) - np.nan_to_num(x0, nan=1).prod(axis=0)
    total = sum(split.values()) + rest
    assert total == pytest.approx(change, rel=1e-9, abs=1e-9 * max(1.0, np.abs(change).max()))


@given(st.lists(st.floats(-1e5, 1e5), min_size=7, max_size=7), st.decimals(-1000, 1000, places=9))
def test_rounded_parts_sum_exactly(parts: list[float], change: Decimal) -> None:
    rounded = to_the_nano(dict(zip(FACTORS, parts, strict=True)), change, FACTORS)
    assert sum(rounded.values()) == change
