"""The whole night, stage by stage, as multiples of parsing the same bytes with orjson.

Runs the job over the demo's traffic through HTTP; LLMOPS_BENCH_DAYS (default 10) sets the days.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import httpx

END = date(2026, 10, 31)


def _floor(environ: dict[str, str], first: date, last: date) -> tuple[float, int, int]:
    """Seconds of `orjson.loads` over every observations page of the range, its bytes and rows."""
    import orjson

    fields = "core,basic,time,model,usage,prompt,metrics,trace_context,metadata"
    seconds, size, rows, cursor = 0.0, 0, 0, None
    auth = (environ["LANGFUSE_PUBLIC_KEY"], environ["LANGFUSE_SECRET_KEY"])
    with httpx.Client(base_url=environ["LANGFUSE_BASE_URL"], auth=auth, timeout=120) as client:
        while True:
            answer = client.get(
                "/api/public/v2/observations",
                params={
                    "fields": fields,
                    "limit": 1000,
                    "fromStartTime": f"{first}T00:00:00Z",
                    "toStartTime": f"{last + timedelta(days=1)}T00:00:00Z",
                    **({"cursor": cursor} if cursor else {}),
                },
            ).raise_for_status()
            started = time.process_time()
            page = orjson.loads(answer.content)
            seconds += time.process_time() - started
            size += len(answer.content)
            rows += len(page["data"])
            cursor = page["meta"].get("cursor")
            if not cursor:
                return seconds, size, rows


def run() -> None:
    from llmops_jobs.demo.night import Demo, stand_in
    from llmops_jobs.launch import materialize, open_instance

    days = int(os.environ.get("LLMOPS_BENCH_DAYS", "10"))
    first = END - timedelta(days=days - 1)
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(home=folder, days=days, seed=1, end=END.isoformat())
        with stand_in(demo, port=0) as environ:
            os.environ.update(environ)
            floor, size, rows = _floor(environ, first, END)
            with open_instance(Path(folder)) as instance:
                outcome = materialize(first, END, instance=instance)
    assert outcome.success, outcome.error
    steps = {name: s for name, s in outcome.seconds_by_asset.items() if s >= 0.005}
    spent = sum(steps.values())
    print(f"   {days} days, {rows:,} observations, {size / 1e6:.0f} MB; orjson.loads {floor:.2f} s")
    print(f"   whole run {outcome.seconds / floor:7.1f} x   ({outcome.seconds:.0f} s)")
    for name, seconds in sorted(steps.items(), key=lambda step: -step[1]):
        print(f"   {name:<28}{seconds / floor:7.1f} x   {seconds / spent:6.1%}")
    rest = outcome.seconds - spent
    print(f"   {'(Dagster and imports)':<28}{rest / floor:7.1f} x")
