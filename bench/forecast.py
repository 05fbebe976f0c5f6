"""Spend forecasts against statsforecast's AutoETS: accuracy, calibration, speed, determinism.

The rival's scores are kept in `forecast_anchor.csv.gz`, each under a hash of its task. To run it
again, name the interpreter of an environment with `statsforecast==2.1.1 "pandas<3" pyarrow`:

    LLMOPS_ANCHOR_PYTHON=…/bin/python python -m bench forecast
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from bench import forecast_tasks
from bench.forecast_score import LEVELS, brier, groups, key, ratio, score
from bench.forecast_tasks import HISTORY, HORIZON, Floats, Task

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(__file__).with_name("forecast_anchor.csv.gz")
SEED = 7
_CHUNK = 64

# What is measured -> (floor, aim) of the ratio to AutoETS.
_WIS = {
    "all tasks": (0.85, 0.78),
    "natural, 28 days and more": (0.93, 0.89),
    "business": (1.03, 0.97),
    "history of 7-35 days": (0.92, 0.86),
    "injected faults": (0.70, 0.60),
}
_MASE = {"all tasks": (0.86, 0.79)}


def run() -> None:
    data = Path(os.environ.get("LLMOPS_SHARED", ROOT.parent / "shared")) / "data"
    if not (data / "daily_series").exists():
        print("skipped: the real data is not beside this checkout (set LLMOPS_SHARED)")
        return
    tasks = forecast_tasks.build(data)
    table = ours(tasks)
    anchor = anchor_of(tasks, KEPT)
    table = table.merge(anchor, on="key", suffixes=("", "_anchor"), how="inner")
    print(f"{len(table)} of {len(tasks)} tasks are scored against AutoETS(7)")
    for name, rows in groups(table).items():
        _line(f"WIS, {name}", ratio(rows["wis"], rows["wis_anchor"]), *_WIS[name], len(rows))
        if name in _MASE:
            _line(
                f"MASE, {name}", ratio(rows["mase"], rows["mase_anchor"]), *_MASE[name], len(rows)
            )
    _calibration(table)
    _totals(data)
    _speed(tasks, table)


def _line(name: str, value: float, floor: float, aim: float, n: int | str = "") -> None:
    word = "aim" if value <= aim else "floor" if value <= floor else "MISSED"
    print(f"  {name:<42} {value:7.3f}   floor {floor:g} aim {aim:g}  {word}  (n={n})")


def _band(name: str, value: float, floor: tuple[float, float], aim: tuple[float, float]) -> None:
    inside = [low <= value <= high for low, high in (aim, floor)]
    word = "aim" if inside[0] else "floor" if inside[1] else "MISSED"
    print(
        f"  {name:<42} {value:7.3f}   floor {floor[0]:g}-{floor[1]:g} "
        f"aim {aim[0]:g}-{aim[1]:g}  {word}"
    )


def _matrix(tasks: list[Task]) -> Floats:
    table = np.full((HISTORY, len(tasks)), np.nan)
    for number, task in enumerate(tasks):
        table[HISTORY - len(task.train) :, number] = task.train
    return table


def _paths(tasks: list[Task]) -> Floats:
    """`(tasks, horizon, paths)` in single precision."""
    from llmops_jobs.forecast import engine

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    names = [task.name for task in tasks]
    made = engine.forecast(_matrix(tasks), names, HORIZON, seed=SEED)
    return made.values


def _quantiles(paths: Floats) -> Floats:
    return np.asarray(np.moveaxis(np.quantile(paths, LEVELS, axis=2), 0, -1))


def ours(tasks: list[Task]) -> pd.DataFrame:
    rows = []
    unsound = 0
    for first in range(0, len(tasks), _CHUNK):
        chunk = tasks[first : first + _CHUNK]
        paths = _paths(chunk)
        quantiles = _quantiles(paths)
        unsound += int((~np.isfinite(quantiles) | (quantiles < 0)).sum())
        unsound += int((np.diff(quantiles, axis=-1) < 0).sum())
        for task, drawn, spread in zip(chunk, paths, quantiles, strict=True):
            known = ~np.isnan(task.actual)
            sums = drawn[: len(task.actual)][known].sum(axis=0)
            low, high = np.quantile(sums, [0.1, 0.9])
            came = float(task.actual[known].sum())
            rows.append(
                {
                    "key": key(task),
                    "name": task.name,
                    "group": task.group,
                    "days": len(task.train),
                    "sum_80": float(low <= came <= high),
                    "brier": brier(task, sums) if task.natural else None,
                }
                | score(task, spread)
            )
    print(f"  unsound quantiles (NaN, negative, crossing): {unsound}")
    return pd.DataFrame(rows)


def anchor_of(tasks: list[Task], kept: Path) -> pd.DataFrame:
    """The rival's scores, from the file or, where its interpreter is named, made anew."""
    python = os.environ.get("LLMOPS_ANCHOR_PYTHON")
    if python:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "tasks.parquet", Path(folder) / "result.parquet"
            pd.DataFrame(
                [
                    {"name": key(task), "train": task.train, "horizon": len(task.actual)}
                    for task in tasks
                ]
            ).to_parquet(source)
            script = Path(__file__).with_name("forecast_anchor.py")
            subprocess.run([python, str(script), str(source), str(target)], check=True)
            made = pd.read_parquet(target).set_index("name")
        rows = [
            {"key": key(task), "cpu_ms": made.loc[key(task), "cpu_ms"]}
            | score(task, np.asarray(made.loc[key(task), "quantiles"]).reshape(-1, len(LEVELS)))
            for task in tasks
        ]
        pd.DataFrame(rows).to_csv(kept, index=False, float_format="%.6g")
    return pd.read_csv(kept)


def _calibration(table: pd.DataFrame) -> None:
    natural = groups(table)["natural, 28 days and more"]
    _band("coverage of 80 %, natural", natural["inside_80"].mean(), (0.76, 0.86), (0.78, 0.83))
    _band("coverage of 95 %, natural", natural["inside_95"].mean(), (0.91, 1.0), (0.93, 0.97))
    theirs = natural[["inside_80_anchor", "inside_95_anchor"]].mean()
    print(f"  (AutoETS: {theirs.iloc[0]:.3f} and {theirs.iloc[1]:.3f})")
    _band(
        "coverage of 80 %, sums over the horizon",
        natural["sum_80"].mean(),
        (0.72, 0.9),
        (0.77, 0.85),
    )
    scores = np.array([each for each in natural["brier"] if each is not None])
    ours, week, month = scores.mean(axis=0)
    _line("Brier score of budget breach", ours, 0.145, 0.132, len(scores) * 6)
    print(f"  (extrapolating the run-rate of 7 days: {week:.3f}, of 28 days: {month:.3f})")


def _totals(data: Path) -> None:
    """The daily 80 % interval of the total of 20 stations, from coherent paths."""
    from llmops_jobs.forecast import engine
    from llmops_jobs.forecast.coherence import reconcile

    rows = pd.read_parquet(data / "daily_series" / "daily.parquet")
    rows = rows[rows["dataset"] == "chicago_L"]
    parts = rows.pivot(index="ds", columns="series", values="y").to_numpy(dtype=float)
    inside = []
    for end in range(370, len(parts) - HORIZON, 56):
        past, came = parts[end - HISTORY : end], parts[end : end + HORIZON].sum(axis=1)
        both = np.column_stack([past.sum(axis=1), past])
        names = [f"series {number}" for number in range(both.shape[1])]
        drawn = engine.forecast(both, names, HORIZON, seed=SEED).values
        reconcile(drawn[0], {"station": drawn[1:]})
        low, high = np.quantile(drawn[0], [0.1, 0.9], axis=-1)
        inside.append(((came >= low) & (came <= high)).mean())
    value = float(np.mean(inside))
    _band("coverage of 80 %, total of 20 children", value, (0.70, 1.0), (0.77, 0.85))


def _many(series: Floats, count: int = 3000) -> None:
    """A night of thousands of series: parameters by one process and by two, then the paths."""
    from llmops_jobs.forecast import engine, spread

    random = np.random.default_rng(SEED)
    chosen = random.integers(0, series.shape[1], count)
    amounts = series[:, chosen] * np.exp(0.05 * random.standard_normal((len(series), count)))
    none = np.zeros(count, dtype=np.bool_)
    seconds, fits = [], []
    for processes in (1, 2):
        began = time.perf_counter()
        fits.append(spread.fit(amounts, none, processes))
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    names = [f"series {number}" for number in range(count)]
    engine.forecast(amounts, names, 38, seed=SEED, fitted=fits[0])
    paths = time.perf_counter() - began
    print(
        f"  {count} series of 365 days: weekly fit {seconds[0]:.1f} s by 1 process, "
        f"{seconds[1]:.1f} s by 2; a night's paths {paths:.1f} s"
    )
    same = fits[0].weights.tobytes() == fits[1].weights.tobytes()
    print(f"  same parameters by 1 and 2 processes: {same}")


def _digest_of(tasks: list[Task]) -> bytes:
    return _paths(tasks).tobytes()


def _speed(tasks: list[Task], table: pd.DataFrame) -> None:
    whole = [task for task in tasks if len(task.train) == HISTORY][:192]
    began, cpu = time.perf_counter(), time.process_time()
    one = b"".join(_digest_of(whole[at : at + _CHUNK]) for at in range(0, len(whole), _CHUNK))
    cpu = 1000 * (time.process_time() - cpu) / len(whole)
    wall = time.perf_counter() - began
    _line("CPU ms per series of 365 days", cpu, 40, 12, len(whole))
    theirs = float(table.loc[table["days"] == HISTORY, "cpu_ms"].mean())
    times = theirs / cpu
    word = "aim" if times >= 8 else "floor" if times >= 4 else "MISSED"
    print(f"  {'throughput, times that of AutoETS (CPU)':<42} {times:7.1f}   floor 4 aim 8  {word}")
    print(f"  ({len(whole) / wall:.0f} series a second in one process, as the machine is now)")
    _many(_matrix(whole))
    chunks = [whole[at : at + 48] for at in range(0, len(whole), 48)]
    with ProcessPoolExecutor(2) as pool:
        two = b"".join(pool.map(_digest_of, chunks))
    print(f"  same bytes with 1 process and chunks of {_CHUNK}, 2 and 48: {one == two}")
