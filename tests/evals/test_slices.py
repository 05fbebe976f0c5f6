"""A large day: in slices, by several processes, and all of it or nothing in the store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from llmops_jobs.errors import UserError
from llmops_jobs.evals import slices
from llmops_jobs.evals.measure import Scoring, score_day
from llmops_jobs.evals.reading import slices_of_day
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from tests.evals.test_night import land
from tests.facts import DAY, PROJECT

ANSWERS = [f"Your parcel {i} is on its way and arrives tomorrow." for i in range(38)] + ["", "x"]


def out_of_memory(*_: object) -> None:
    os._exit(1)


def scores(lake: Lake, database: Database, processes: int) -> pd.DataFrame:
    scoring = Scoring.prepared(lake, database, EvalSettings(processes=processes))
    assert score_day(scoring, PROJECT, DAY).calls == len(ANSWERS)
    return database.table("score", PROJECT)


def test_a_day_has_the_same_scores_however_many_processes_score_it(
    lake: Lake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE", 9)
    monkeypatch.setattr(slices, "cores", lambda: 2)
    land(lake, DAY, ANSWERS)
    alone = scores(lake, database, processes=1)
    histogram = database.table("score_histogram", PROJECT)
    assert len(alone) == len(ANSWERS) * alone["scorer"].nunique()
    pd.testing.assert_frame_equal(alone, scores(lake, database, processes=2))
    pd.testing.assert_frame_equal(histogram, database.table("score_histogram", PROJECT))


def test_a_day_of_long_texts_is_cut_into_slices_of_fewer_calls(lake: Lake) -> None:
    land(lake, DAY, ANSWERS)
    rows = lake.read_day("observation_text", PROJECT, DAY)
    heaviest = max(map(len, rows["input"].to_pylist())) + 60
    for most_bytes, sizes in ((1, [1] * 40), (3 * heaviest, None), (40 * heaviest, [15, 15, 10])):
        cut = [text for text, _ in slices_of_day(lake, PROJECT, DAY, 15, most_bytes)]
        found = [len(each) for each in cut]
        assert found == sizes or (sizes is None and max(found[:-1]) < 15 and min(found[:-1]) >= 3)
        said = [text for each in cut for text in each["output"].to_pylist()]
        assert said == rows["output"].to_pylist()


def test_a_process_that_is_ended_changes_nothing_and_says_what_to_do(
    lake: Lake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, DAY, ANSWERS)
    before = scores(lake, database, processes=1)
    monkeypatch.setattr(slices, "SLICE", 9)
    monkeypatch.setattr(slices, "cores", lambda: 2)
    monkeypatch.setattr(slices, "_score", out_of_memory)
    with pytest.raises(UserError, match=r"evals\.processes: 1"):
        scores(lake, database, processes=2)
    pd.testing.assert_frame_equal(before, database.table("score", PROJECT))


def test_processes_that_score_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from llmops_jobs.evals import slices\n"
        "from llmops_jobs.evals.settings import EvalSettings\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), slices._begin, "
        "(EvalSettings(), {}))\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the child outlived its parent")
