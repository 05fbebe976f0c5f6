"""How fast a day of the demo's traffic is written, against serializing the same rows."""

from __future__ import annotations

import time
from datetime import date, timedelta

END = date(2026, 11, 23)
DAYS = 6


def run() -> None:
    """Prints processor time per day, and its ratio to `orjson.dumps` and `json.dumps`."""
    import json

    import orjson

    from llmops_jobs.demo.replay import Replay

    replay = Replay(end=END)
    replay.day(END - timedelta(days=30))  # loads the measurements and the handbook
    began = time.process_time()
    written = [replay.day(END - timedelta(days=20 - back)) for back in range(DAYS)]
    made = (time.process_time() - began) / DAYS
    rows = [[day.observations, day.scores] for day in written]
    began = time.process_time()
    size = sum(len(orjson.dumps(day)) for day in rows) / DAYS
    floor = (time.process_time() - began) / DAYS
    began = time.process_time()
    for day in rows:
        json.dumps(day)
    standard = (time.process_time() - began) / DAYS
    count = sum(len(day.observations) for day in written) / DAYS
    print(f"replay: {count:,.0f} observations and {size / 1e6:.1f} MB a day, {made:.3f} CPU s")
    print(f"replay: {made / floor:.1f} times orjson.dumps, {made / standard:.2f} times json.dumps")


if __name__ == "__main__":
    run()
