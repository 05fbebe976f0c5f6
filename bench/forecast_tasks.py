"""The forecasting tasks of the benchmark: real daily series, rolling origins, injected faults.

A task is a training series (at most 365 days, NaN = missing), what came next, the scale of its
MASE, and what it belongs to. Built from the real data beside the checkout; see docs/forecast.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HISTORY, HORIZON, WEEK = 365, 28, 7


@dataclass(frozen=True)
class Task:
    name: str
    group: str  # business, llm_class, llm_model, monthend, intermittent, short, servegen, fault:…
    train: Floats
    actual: Floats
    scale: float
    origin: str  # tasks of one hierarchy and origin are added up to a total

    @property
    def natural(self) -> bool:
        return not self.group.startswith("fault")


def build(data: Path) -> list[Task]:
    """Every task, in a fixed order."""
    business, classes = _business(data), _classes(data)
    tasks = [*_rolling(business, "business"), *_rolling(classes, "llm_class", origins=12)]
    tasks += _models(data) + _month_ends(data) + _intermittent(data) + _servegen(data)
    base = _base(business, classes)
    return [*tasks, *_short(base), *_faults(base)]


def _business(data: Path) -> dict[str, Floats]:
    rows = pd.read_parquet(data / "daily_series" / "daily.parquet")
    rows = rows[rows["dataset"] != "intermittent"]
    return {
        f"{dataset}/{series}": group.sort_values("ds")["y"].to_numpy(dtype=float)
        for (dataset, series), group in rows.groupby(["dataset", "series"])
    }


def _class_frame(data: Path) -> pd.DataFrame:
    rows = pd.read_csv(data / "openrouter_class_daily" / "daily.csv.gz", parse_dates=["date"])
    rows = rows.set_index("date").asfreq("D")
    return rows.assign(total=rows.sum(axis=1, min_count=4))


def _classes(data: Path) -> dict[str, Floats]:
    rows = _class_frame(data)
    return {f"openrouter/{name}": rows[name].to_numpy(dtype=float) for name in rows}


def _rolling(
    series: dict[str, Floats], group: str, origins: int = 4, horizon: int = HORIZON
) -> list[Task]:
    tasks = []
    for name, values in series.items():
        longest = min(HISTORY, len(values) - horizon)
        first = max(WEEK * 4, min(HISTORY, longest - 1))
        ends = np.unique(np.linspace(first, len(values) - horizon, origins).astype(int))
        if group == "llm_class":
            ends = np.arange(len(values) - horizon, 60, -40)[:origins]
        for end in ends:
            tasks += _task(name, group, values, int(end), horizon)
    return tasks


def _task(name: str, group: str, values: Floats, end: int, horizon: int) -> list[Task]:
    train = values[max(0, end - HISTORY) : end]
    actual = values[end : end + horizon]
    if np.isnan(actual).mean() > 0.2 or np.isnan(train).mean() > 0.5 or not (train > 0).any():
        return []
    scale = _scale(train)
    return [Task(f"{name}@{end}", group, train, actual, scale, f"{name.split('/')[0]}@{end}")]


def _scale(train: Floats) -> float:
    lag = WEEK if len(train) > WEEK + 3 else 1
    differences = np.abs(train[lag:] - train[:-lag])
    scale = float(np.nanmean(differences)) if np.isfinite(differences).any() else 0.0
    return scale or max(float(np.nanmean(np.abs(train))), 1e-9)


def _models(data: Path) -> list[Task]:
    rows = pd.read_csv(data / "openrouter_model_daily" / "daily.csv.gz", parse_dates=["date"])
    wide = rows.pivot_table(index="date", columns="model", values="total_tokens").asfreq("D")
    tasks = []
    for name in wide:
        values = wide[name].to_numpy(dtype=float)
        values = values[int(np.argmax(~np.isnan(values))) :]
        for left in (14, 20, 27):
            if len(values) - left >= 8:
                tasks += _task(f"model/{name}", "llm_model", values, len(values) - left, 14)
    return tasks


def _month_ends(data: Path) -> list[Task]:
    rows = _class_frame(data)
    tasks = []
    for month in pd.period_range("2026-01", "2026-05", freq="M"):
        for name in ("closed", "open", "total", "unknown"):
            end = rows.index.get_loc(month.start_time + pd.Timedelta(days=10))
            horizon = month.days_in_month - 10
            values = rows[name].to_numpy(dtype=float)
            tasks += _task(f"month/{name}", "monthend", values, int(end), horizon)
    return tasks


def _intermittent(data: Path) -> list[Task]:
    rows = pd.read_parquet(data / "daily_series" / "daily.parquet")
    values = rows[rows["dataset"] == "intermittent"].sort_values("ds")["y"].to_numpy(dtype=float)
    ends = np.linspace(120, len(values) - HORIZON, 20).astype(int)
    return [t for end in ends for t in _task("intermittent", "intermittent", values, end, HORIZON)]


def _servegen(data: Path) -> list[Task]:
    rows = pd.read_parquet(data / "servegen_hourly" / "hourly.parquet")
    rows["tokens"] = rows["tin"] + rows["tout"]
    rows["day"] = rows["hour"] // 24
    daily = rows.groupby(["model", "client", "day"])["tokens"].sum(min_count=24).unstack("day")
    daily = daily[daily.notna().all(axis=1) & ((daily > 0).mean(axis=1) > 0.7)]
    tasks = []
    for (model, client), row in daily.iterrows():
        values = row.to_numpy(dtype=float)
        for end in (7, 10):
            tasks += _task(f"servegen-{model}/{client}", "servegen", values, end, 14 - end)
    return tasks


def _base(business: dict[str, Floats], classes: dict[str, Floats]) -> list[tuple[str, Floats, int]]:
    """Series that carry a year and 28 days more: what faults are injected into."""
    chosen = []
    for name, values in {**business, **classes}.items():
        ends = [len(values) - HORIZON]
        if not name.startswith(("chicago", "parking")):
            ends.append(len(values) - HORIZON - 70)
        chosen += [(name, values, end) for end in ends if end >= 180]
    return chosen


def shortened(task: Task, days: int) -> Task:
    """The task with the last days of its history only."""
    return replace(task, name=f"{task.name}#{days}", group=f"short{days}", train=task.train[-days:])


def _short(base: list[tuple[str, Floats, int]]) -> list[Task]:
    tasks = []
    for name, values, end in base:
        whole = _task(name, "short", values, end, HORIZON)
        for task in whole:
            for days in (8, 14, 20, 35):
                train = task.train[-days:]
                if (train > 0).sum() >= days / 2:
                    tasks.append(shortened(task, days))
    return tasks


def _faults(base: list[tuple[str, Floats, int]]) -> list[Task]:
    tasks = []
    for name, values, end in base:
        for task in _task(name, "fault", values, end, HORIZON):
            for kind, train, factor in _broken(task):
                tasks.append(
                    Task(
                        f"{task.name}!{kind}",
                        f"fault:{kind}",
                        train,
                        task.actual * factor,
                        task.scale * factor,
                        task.origin,
                    )
                )
    return tasks


def _broken(task: Task) -> Iterator[tuple[str, Floats, float]]:
    """Five faults of production, each on a copy: (kind, training series, what the future is
    multiplied by)."""
    random = np.random.default_rng(zlib.crc32(task.name.encode()))
    train = task.train
    shift = train.copy()
    shift[-10:] *= 3
    yield "level shift", shift, 3.0
    cut = train.copy()
    cut[-5:] *= 0.5
    yield "price cut", cut, 0.5
    spike = train.copy()
    spike[-3] *= 20
    yield "runaway day", spike, 1.0
    outage = train.copy()
    length = int(random.integers(2, 4))
    first = int(random.integers(3, 12))
    outage[len(train) - first - length : len(train) - first] = 0.0
    yield "outage", outage, 1.0
    gaps = train.copy()
    gaps[random.random(len(train)) < 0.1] = np.nan
    at = int(random.integers(5, 20))
    gaps[len(train) - at - 4 : len(train) - at] = np.nan
    if np.isnan(gaps[-1]):
        gaps[-1] = train[-1]
    yield "missing days", gaps, 1.0
