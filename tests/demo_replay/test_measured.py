"""The traffic follows the real measurements it is built from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from llmops_jobs.demo.data import derive
from llmops_jobs.demo.replay import Replay, measured
from llmops_jobs.demo.rows import DayRows
from tests.demo_replay.conftest import END

QUIET = range(11, 21)


@pytest.fixture(scope="module")
def plans(replay: Replay) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Feature, input and output tokens of the quiet days' calls that were answered."""
    found = []
    for back in QUIET:
        plan = replay.plan(END - timedelta(days=back))
        table = plan.observations
        calls = (table.role == 4) & (table.failure == 0)
        feature = plan.requests.feature[table.request[calls]]
        visible = table.tokens.output[calls] - table.tokens.reasoning[calls]
        found.append((feature, table.tokens.input[calls], visible))
    return found


def test_prompts_are_as_long_as_the_real_ones(
    shared: Callable[[str], Path], plans: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> None:
    real = pd.read_csv(shared("data/azure_llm_2023/conv.csv.gz"))
    chat = np.concatenate([tokens[feature == 0] for feature, tokens, _ in plans])
    # Jitter of three per cent blurs the few lengths that a tenth of the real requests share.
    assert stats.ks_2samp(chat, real["ContextTokens"]).statistic < 0.06
    said = np.concatenate([out[feature == 0] for feature, _, out in plans])
    assert stats.ks_2samp(said, real["GeneratedTokens"]).statistic < 0.06


def test_documents_are_as_long_as_the_real_ones(
    shared: Callable[[str], Path], plans: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> None:
    real = pd.read_parquet(shared("data/mooncake/conversation_trace.parquet"))
    long = np.concatenate([tokens[feature == 3] for feature, tokens, _ in plans])
    assert stats.ks_2samp(long, real["input_length"]).statistic < 0.06


def test_tenants_have_the_real_shares_and_days(
    shared: Callable[[str], Path], replay: Replay
) -> None:
    hourly = pd.read_parquet(shared("data/servegen_hourly/hourly.parquet"))
    hourly = hourly.query("model == 'm-small'")
    real = hourly.groupby("client")["req"].sum().nlargest(12)
    days = [replay.plan(END - timedelta(days=back)).requests for back in QUIET]
    tenant = np.concatenate([day.tenant for day in days])
    shares = np.bincount(tenant, minlength=12) / len(tenant)
    assert np.abs(shares - (real / real.sum()).to_numpy()).max() < 0.05

    largest = hourly[hourly["client"] == real.index[0]]
    profile = largest.groupby(largest["hour"] % 24)["req"].sum()
    mine = np.concatenate([day.start_ms[day.tenant == 0] for day in days]) // 3_600_000
    counts = np.bincount(mine.astype(int), minlength=24)
    assert np.corrcoef(profile.to_numpy(), counts)[0, 1] > 0.9


def test_arrivals_come_in_bursts(replay: Replay) -> None:
    """Counts per five seconds vary more than those of a Poisson process with the hour's rate."""
    start = replay.plan(END - timedelta(days=15)).requests.start_ms
    bins = np.bincount((start // 60_000).astype(int), minlength=1440).reshape(24, 60)
    dispersion = bins.var(axis=1, ddof=1).mean() / bins.mean()
    assert dispersion > 1.05


def test_the_level_follows_the_measured_week(shared: Callable[[str], Path]) -> None:
    daily = pd.read_csv(
        shared("data/openrouter_class_daily/daily.csv.gz"), parse_dates=["date"]
    ).set_index("date")
    total = daily.sum(axis=1).tail(182)
    real = total.groupby(total.index.day_of_week).mean()
    days = [END - timedelta(days=back) for back in range(182)]
    levels = pd.Series([measured.level(day, END) for day in days])
    mine = levels.groupby([day.weekday() for day in days]).mean()
    assert np.corrcoef(real, mine)[0, 1] > 0.9
    assert mine[5] < mine[1] and mine[6] < mine[1]


def test_no_day_has_fewer_model_calls_than_requests_were_asked_for(replay: Replay) -> None:
    for back in range(60):
        plan = replay.plan(END - timedelta(days=back))
        assert int((plan.observations.model >= 0).sum()) >= 2000


def test_the_bundled_numbers_are_small_and_come_from_the_sets(
    shared: Callable[[str], Path],
) -> None:
    assert derive.TARGET.stat().st_size < 300_000
    derived = derive.derive(shared("data"))
    with np.load(derive.TARGET) as bundled:
        assert set(bundled.files) == set(derived)
        for name, array in derived.items():
            np.testing.assert_allclose(bundled[name], array, rtol=1e-6, err_msg=name)


def test_a_sunday_is_laid_on_a_sunday() -> None:
    sunday = date(2026, 11, 22)
    week = [measured.level(sunday - timedelta(days=back), sunday) for back in range(7)]
    assert min(week) in (week[0], week[1])


def test_the_day_has_thousands_of_rows(ago: Callable[[int], DayRows]) -> None:
    rows = ago(5)
    assert len({row["traceId"] for row in rows.observations}) > 2000
    assert len(rows.observations) > 5000
