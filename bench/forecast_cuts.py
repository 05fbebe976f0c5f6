"""Spend forecasts of the same series from ten random sets of days, with standard errors.

Is what holds on the tasks of `forecast` luck of their dates? The rival's scores are kept in
`forecast_cuts_anchor.csv.gz`; to make them again, see `forecast`.

Every draw takes random origins: of each business series one, of a class of models four, of a
model one, of a month's end two, of the intermittent series three, one short history of each long
series and clients of a model service. Scores are means over the draws, with standard errors over
series (the origins of one series are one witness), for all series and for either half of them.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from bench import forecast_tasks as tasks_of
from bench.forecast import ROOT, anchor_of, ours
from bench.forecast_score import NATURAL, ratio
from bench.forecast_tasks import HORIZON, Floats, Task

KEPT = Path(__file__).with_name("forecast_cuts_anchor.csv.gz")
DRAWS = 10
SHORT = (3, 5, 8, 11, 14, 20, 27, 35)
_LEAST = 28  # days of a natural series before its origin
_FEWEST_AHEAD = 7
_RIVAL_NEEDS = 7  # days of history that AutoETS is asked to forecast from
_FLOORS = {"inside_80": (0.76, 0.86), "inside_95": (0.91, 1.0), "sum_80": (0.72, 0.90)}
_WIS_FLOOR = 0.93


def run() -> None:
    data = Path(os.environ.get("LLMOPS_SHARED", ROOT.parent / "shared")) / "data"
    if not (data / "daily_series").exists():
        print("skipped: the real data is not beside this checkout (set LLMOPS_SHARED)")
        return
    drawn = [(draw, task) for draw in range(DRAWS) for task in build(data, draw)]
    tasks = [task for _, task in drawn]
    table = ours(tasks).assign(
        draw=[draw for draw, _ in drawn],
        series=[series_of(task) for task in tasks],
        half=[half(task) for task in tasks],
    )
    table = table.drop_duplicates("key")
    judged = [task for task in tasks if len(task.train) >= _RIVAL_NEEDS]
    table = table.merge(anchor_of(judged, KEPT), on="key", suffixes=("", "_anchor"), how="left")
    for name, rows in _groups(table).items():
        print(f"  {name:<28} {_told(rows)}")
        for which, part in rows.groupby("half"):
            print(f"    half {which} of the series      {_told(part)}")
    natural = _groups(table)["natural, 28 days and more"]
    held = natural.groupby("draw")[["inside_80", "inside_95", "sum_80"]].mean()
    for name, (low, high) in _FLOORS.items():
        within = int(held[name].between(low, high).sum())
        values = " ".join(f"{value:.3f}" for value in held[name])
        print(f"  {name}: {within} of {DRAWS} draws within {low:g}-{high:g} ({values})")
    wis = [ratio(rows["wis"], rows["wis_anchor"]) for _, rows in natural.groupby("draw")]
    within = sum(value <= _WIS_FLOOR for value in wis)
    print(f"  WIS: {within} of {DRAWS} draws at most {_WIS_FLOOR:g} ({_line_of(wis)})")


def _line_of(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    group, days = table["group"], table["days"]
    natural = table[group.isin(NATURAL) & (days >= _LEAST)]
    short = table[group.str.startswith("short") | group.str.startswith("servegen")]
    return {
        "natural, 28 days and more": natural,
        **{f"  {each}": natural[natural["group"] == each] for each in NATURAL},
        "history of 7 to 35 days": short[short["days"] >= _RIVAL_NEEDS],
        "  of 7 to 11 days": short[short["days"].between(7, 11)],
        "  of 2 to 6 days": short[short["days"] < _RIVAL_NEEDS],
    }


def _told(rows: pd.DataFrame) -> str:
    both = rows[rows["wis_anchor"].notna()]
    wis = f"{ratio(both['wis'], both['wis_anchor']):.3f}" if len(both) else "    -"
    brier = [each[0] for each in rows["brier"] if each is not None]
    told = f"WIS {wis}"
    for name in ("inside_80", "inside_95", "sum_80"):
        told += f"  {name} {rows[name].mean():.3f} ±{_error(rows, name):.3f}"
    if brier:
        told += f"  brier {np.mean(brier):.3f}"
    return f"{told}  (n={len(rows)}, series={rows['series'].nunique()})"


def _error(rows: pd.DataFrame, name: str) -> float:
    """The standard error of a mean, over series: those of one series are not independent."""
    off = (rows[name] - rows[name].mean()).groupby(rows["series"]).sum()
    return float(np.sqrt((off**2).sum()) / len(rows))


def build(data: Path, draw: int) -> list[Task]:
    """The tasks of one draw, in a fixed order."""
    random = np.random.default_rng([draw, 20260101])
    business, classes = tasks_of._business(data), tasks_of._classes(data)
    tasks: list[Task] = []
    for name, values in business.items():
        tasks += _cut(name, "business", values, random)
    for name, values in classes.items():
        for _ in range(4):
            tasks += _cut(name, "llm_class", values, random, least=60)
    for name, values in _models(data).items():
        tasks += _cut(f"model/{name}", "llm_model", values, random)
    tasks += _months(data, random)
    for _ in range(3):
        tasks += _cut("intermittent", "intermittent", _intermittent(data), random, least=120)
    for name, values in {**business, **classes}.items():
        if len(values) > 365 and (name.startswith("openrouter") or random.random() < 0.7):
            tasks += _short(name, values, random)
    return [*tasks, *_clients(data, random)]


def series_of(task: Task) -> str:
    """The series that a task was cut from."""
    return task.name.partition("@")[0]


def half(task: Task) -> str:
    """`a` or `b`, by the name of the series."""
    return "ab"[zlib.crc32(f"2:{series_of(task)}".encode()) % 2]


def _cut(
    name: str, group: str, values: Floats, random: np.random.Generator, least: int = _LEAST
) -> list[Task]:
    least = max(least, 180) if len(values) > 400 and group == "business" else least
    latest = len(values) - _FEWEST_AHEAD if group == "llm_model" else len(values) - HORIZON
    if latest < least:
        return []
    end = int(random.integers(least, latest + 1))
    horizon = min(HORIZON if group != "llm_model" else 14, len(values) - end)
    return tasks_of._task(name, group, values, end, horizon)


def _models(data: Path) -> dict[str, Floats]:
    rows = pd.read_csv(data / "openrouter_model_daily" / "daily.csv.gz", parse_dates=["date"])
    wide = rows.pivot_table(index="date", columns="model", values="total_tokens").asfreq("D")
    found = {}
    for name in wide:
        values = wide[name].to_numpy(dtype=float)
        found[str(name)] = values[int(np.argmax(~np.isnan(values))) :]
    return found


def _months(data: Path, random: np.random.Generator) -> list[Task]:
    frame = tasks_of._class_frame(data)
    tasks = []
    for name in ("closed", "open", "total", "unknown"):
        values = frame[name].to_numpy(dtype=float)
        for month in random.choice(pd.period_range("2025-06", "2026-05", freq="M"), 2, False):
            gone = int(random.integers(3, 21))
            end = frame.index.get_loc(month.start_time + pd.Timedelta(days=gone))
            tasks += tasks_of._task(
                f"month/{name}", "monthend", values, int(end), month.days_in_month - gone
            )
    return tasks


def _intermittent(data: Path) -> Floats:
    rows = pd.read_parquet(data / "daily_series" / "daily.parquet")
    rows = rows[rows["dataset"] == "intermittent"].sort_values("ds")
    return rows["y"].to_numpy(dtype=float)


def _short(name: str, values: Floats, random: np.random.Generator) -> list[Task]:
    end = int(random.integers(180, len(values) - HORIZON + 1))
    days = int(random.choice(SHORT))
    found = []
    for task in tasks_of._task(name, "short", values, end, HORIZON):
        train = task.train[-days:]
        if (train > 0).sum() >= max(days / 2, 2):
            found.append(tasks_of.shortened(task, days))
    return found


def _clients(data: Path, random: np.random.Generator) -> list[Task]:
    rows = pd.read_parquet(data / "servegen_hourly" / "hourly.parquet")
    rows["day"] = rows["hour"] // 24
    tasks = []
    for what in ("req", "tin", "tout"):
        daily = rows.groupby(["model", "client", "day"])[what].sum(min_count=24).unstack("day")
        daily = daily[daily.notna().all(axis=1) & ((daily > 0).mean(axis=1) > 0.7)]
        for (model, client), row in daily.iterrows():
            if random.random() < 0.15:
                end, values = int(random.integers(2, 12)), row.to_numpy(dtype=float)
                name = f"servegen-{model}/{client}"
                group = "servegen" if end >= 7 else f"servegen{end}"
                tasks += tasks_of._task(name, group, values, end, 14 - end)
    return tasks
