"""Large days: read in part, added up in parts; and two runs that score one day at once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from llmops_jobs.evals import questions
from llmops_jobs.evals.drawing import asked_on
from llmops_jobs.evals.model import examples
from llmops_jobs.evals.model.examples import ExampleStore
from llmops_jobs.evals.quality import quality_day
from llmops_jobs.evals.questions import Questions
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.tallies import tallies
from llmops_jobs.lake import Lake
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES
from tests.evals.test_night import land, score
from tests.facts import DAY, PROJECT

_ASKED = [f"where is parcel number {i}" for i in range(400)]


def test_a_draw_of_a_day_is_even_always_the_same_and_part_of_a_larger_one(lake: Lake) -> None:
    land(lake, DAY, ["It is on its way."] * 400, questions=_ASKED, feature="chat")
    small, large = (
        {call.observation_id: call for call in asked_on(lake, PROJECT, DAY, most, 0)}
        for most in (50, 200)
    )
    assert (len(small), len(large)) == (50, 200) and set(small) < set(large)
    assert sum(call.weight for call in small.values()) == pytest.approx(400)
    assert list(asked_on(lake, PROJECT, DAY, 50, 0)) == list(small.values())
    numbers = sorted(_ASKED.index(call.question) for call in small.values())
    assert 120 < np.mean(numbers) < 280
    assert len(list(asked_on(lake, PROJECT, DAY, 400, 0))) == 400


def test_small_features_are_read_for_their_words_and_weigh_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "HELD_AGAINST", 100)
    monkeypatch.setattr(questions, "OF_A_FEATURE", 20)
    land(lake, DAY, ["It is on its way."] * 400, questions=_ASKED)
    rows = lake.read_day("observations", PROJECT, DAY)
    features = pa.array(["chat"] * 380 + ["rare"] * 20)
    place = rows.schema.get_field_index("feature")
    lake.replace_day("observations", PROJECT, DAY, rows.set_column(place, "feature", features))
    day = Questions(lake).of(PROJECT, DAY)
    assert day.words["rare", True].n == 20 and 80 < day.words["chat", True].n <= 100
    assert len(day.texts) == 100 and day.weights.sum() == pytest.approx(400)
    assert 0 < len(day.further) < 20


def test_a_day_is_added_up_alike_in_parts_of_any_size(
    lake: Lake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, DAY, ["Fine, it is on its way."] * 30 + [""] * 5, labels={0: True, 1: False})
    score(lake, database, DAY)
    whole = tallies(lake, database, PROJECT, DAY, EvalSettings())
    monkeypatch.setattr("llmops_jobs.evals.tallies._ROWS_AT_ONCE", 4)
    monkeypatch.setattr("llmops_jobs.evals.tallies._BITS", 3)
    parts = tallies(lake, database, PROJECT, DAY, EvalSettings())
    by = ["metric", "part"]
    left, right = (each.sort_values(by, ignore_index=True) for each in (whole, parts))
    pd.testing.assert_frame_equal(left, right)
    assert whole.set_index("metric").loc["empty", "n"] == 35
    assert whole.set_index("metric").loc["empty", "wy"] == 30


def test_of_many_votes_some_teach_and_older_labels_are_left_when_there_are_enough(
    lake: Lake, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [DAY + timedelta(days=i) for i in range(4)]
    for day in days:
        land(lake, day, ["Fine."] * 30, labels={i: i % 2 == 0 for i in range(10)})
        score(lake, database, day)
    assert [*map(len, _taught(lake, database, days))] == [10] * 4
    monkeypatch.setattr(examples, "_ENOUGH", 20)
    assert [*map(len, _taught(lake, database, days))] == [0, 0, 10, 10]
    monkeypatch.setattr(examples, "_VOTES_A_DAY", 0)
    monkeypatch.setattr(examples, "_LABELS_A_DAY", 4)
    (some,), (again,) = (_taught(lake, database, days[-1:]) for _ in range(2))
    assert len(some) == 4 and some == again


def _taught(lake: Lake, database: Database, days: list[date]) -> list[list[float]]:
    """What people said in the examples of each day."""
    found = ExampleStore(lake, database).of(PROJECT, days, EvalSettings())
    return [each["correct"].passed.tolist() if each else [] for each in found]


def test_two_runs_that_score_a_day_at_once_leave_it_once(
    lake: Lake, any_database: Database, tmp_path: Path
) -> None:
    """Real processes, on SQLite and on Postgres; each replaces the day, whoever is last."""
    land(lake, DAY, [f"Your parcel {i} arrives tomorrow." for i in range(60)] + [""])
    script = tmp_path / "score.py"
    script.write_text(
        "import sys\n"
        "from datetime import date\n"
        "from llmops_jobs.evals.measure import Scoring, score_day\n"
        "from llmops_jobs.evals.quality import quality_day\n"
        "from llmops_jobs.evals.settings import EvalSettings\n"
        "from llmops_jobs.lake import Lake\n"
        "from llmops_jobs.store import Database\n"
        "lake, database = Lake(sys.argv[1]), Database(sys.argv[2])\n"
        "settings = EvalSettings(scorers=('empty', 'length', 'repetition', 'pii', 'secrets'))\n"
        "scoring = Scoring.prepared(lake, database, settings)\n"
        "sys.stdin.readline()\n"
        "for _ in range(3):\n"
        f"    score_day(scoring, '{PROJECT}', date({DAY.year}, {DAY.month}, {DAY.day}))\n"
        f"    quality_day(lake, database, '{PROJECT}', date({DAY.year}, {DAY.month}, {DAY.day}), "
        "EvalSettings())\n"
    )
    url = any_database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, str(script), lake.url, url]
    runs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for each in runs:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    said = [each.communicate(timeout=120)[1] for each in runs]
    assert [each.returncode for each in runs] == [0, 0], said
    rows = any_database.table("score", PROJECT)
    scorers = rows["scorer"].nunique()
    assert scorers == 5 and len(rows) == 61 * scorers
    keys = [column.name for column in TABLES["score"].primary_key]
    assert not rows.duplicated(keys).any()
    assert set(Counter(rows["trace_id"]).values()) == {scorers}
    found = {name: any_database.table(name, PROJECT) for name in ("quality_sums", "quality_window")}
    quality_day(lake, any_database, PROJECT, DAY, EvalSettings())
    for name, before in found.items():
        pd.testing.assert_frame_equal(before, any_database.table(name, PROJECT))
