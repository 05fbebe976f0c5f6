"""The rival, in an environment of its own: statsforecast's AutoETS(season_length=7).

It needs pandas < 3 and cannot live beside this project. Run by that environment's interpreter:

    python bench/forecast_anchor.py TASKS.parquet RESULT.parquet

TASKS has a row per task (name, train as a list, horizon); RESULT has per task the nine quantiles
(flat list, horizon x 9) and the CPU milliseconds. Missing days are interpolated, which the rival
needs and which is in its favour.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from statsforecast.models import AutoETS

LEVELS = (50, 80, 90, 95)


def main(tasks_file: str, result_file: str) -> None:
    rows = []
    for task in pd.read_parquet(tasks_file).itertuples():
        train = pd.Series(np.asarray(task.train, dtype=float))
        train = train.interpolate(limit_direction="both").to_numpy()
        began = time.process_time()
        failed = False
        try:
            answer = AutoETS(season_length=7).forecast(train, int(task.horizon), level=list(LEVELS))
        except Exception:
            failed = True
            mean = np.repeat(train[-1], task.horizon)
            answer = {"mean": mean} | {f"{s}-{v}": mean for v in LEVELS for s in ("lo", "hi")}
        spent = 1000 * (time.process_time() - began)
        columns = [answer[f"lo-{level}"] for level in reversed(LEVELS)]
        columns += [answer["mean"], *(answer[f"hi-{level}"] for level in LEVELS)]
        quantiles = np.maximum(np.nan_to_num(np.stack(columns, axis=1)), 0.0)
        rows.append(
            {"name": task.name, "quantiles": quantiles.ravel(), "cpu_ms": spent, "failed": failed}
        )
    pd.DataFrame(rows).to_parquet(result_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
