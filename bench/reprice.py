"""Days of 100,000 rows, two in three of them calls, priced again by the command.

Sixty days; `LLMOPS_REPRICE_DAYS=365` a year (seven minutes to land, 3 GB). The days are landed and
priced once, then a price of the file is changed and `llmops run --select costs` runs over all of
them, as a user runs it: process, imports, Dagster's run and the check included. With the marts of
money behind it (`--select 'costs,usage_daily'`) a second time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from bench._day import PROJECT, home_in, observations

DAYS: Final = int(os.environ.get("LLMOPS_REPRICE_DAYS", "60"))
_CALLS: Final = 66_666  # and half as many roots: 100,000 rows
_FIRST: Final = date(2025, 9, 1)


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _landed(folder)
        _priced(folder, environment, 0.2, "costs", 1)
        for selection, price in (("costs", 0.3), ("costs,usage_daily", 0.4)):
            wall, cpu = _priced(folder, environment, price, selection, DAYS)
            print(
                f"   {DAYS} days of {_CALLS * 3 // 2:,} rows, --select {selection}: {wall:.0f} s, "
                f"{cpu:.0f} s of CPU; {wall / DAYS * 365:.0f} s a year at that pace",
                flush=True,
            )
        rows = home_in(folder).lake.read_day("costs", PROJECT, _FIRST, ["price_status"])
        assert rows["price_status"].to_pylist().count("override") > _CALLS / 50


def _landed(folder: Path) -> dict[str, str]:
    import pandas as pd

    from llmops_jobs.langfuse.project import keys_of

    home = home_in(folder)
    for number in range(DAYS):
        day = _FIRST + timedelta(days=number)
        home.lake.replace_day("observations", PROJECT, day, observations(day, _CALLS))
    (folder / "llmops.yaml").write_text(f"ledger: {{price_file: {folder}/prices.yaml}}\n")
    environment = {
        **os.environ,
        "LLMOPS_HOME": str(folder),
        "LLMOPS_CONFIG": str(folder / "llmops.yaml"),
        "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-bench",
        "LANGFUSE_SECRET_KEY": "unused",
    }
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        key = keys_of(home.settings.projects[0]).fingerprint
    finally:
        os.environ.clear()
        os.environ.update(before)
    row = {"project_id": PROJECT, "name": "default", "key_hash": key}
    told = {"seen_at": datetime.now(UTC), "base_url": "http://127.0.0.1:9"}
    home.database.upsert("project", pd.DataFrame([{**row, **told}]))
    return environment


def _priced(
    folder: Path, environment: dict[str, str], price: float, selection: str, days: int
) -> tuple[float, float]:
    """Wall and CPU seconds of the command over the first days, with another price in the file."""
    (folder / "prices.yaml").write_text(
        f"prices: [{{match: {{model: house-model}}, per_million_tokens: {{input: {price}}}}}]\n"
    )
    last = _FIRST + timedelta(days=days - 1)
    command = [sys.executable, "-m", "llmops_jobs", "run"]
    command += ["--from", f"{_FIRST}", "--to", f"{last}", "--select", selection]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
