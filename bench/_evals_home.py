"""A home with a month of large days, landed cheaply: eight days are written, and the files of the
others are links to theirs. What the week before would have left (a quality model, histograms of
scores) is of a part of a day, counted up."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from llmops_jobs.deployment import Deployment
from tests.facts import facts

DAY = date(2026, 10, 1)
KEYS = {
    "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
    "LANGFUSE_PUBLIC_KEY": "pk-lf-bench",
    "LANGFUSE_SECRET_KEY": "unused",
}
PROJECT = "p"
_PIECE, _LABELS, _VOTES, _WRITTEN = 10_000, 300, 1_000, 8
_PART = 2_500  # calls of a day whose scores stand for the day's


def make_home(rows: pd.DataFrame, calls: int, days: int) -> Deployment:
    """`days` days of `calls` calls up to DAY, with labels on each, in the home of the
    environment. `rows` are HaluEval's."""
    home = Deployment.from_environment()
    _name_project(home)
    first = DAY - timedelta(days=days - 1)
    for i in range(days):
        day = first + timedelta(days=i)
        if i < _WRITTEN:
            pieces = [np.arange(at, min(at + _PIECE, calls)) for at in range(0, calls, _PIECE)]
            told = (_observations(i, day, each) for each in pieces)
            home.lake.replace_day("observations", PROJECT, day, told)
            texts = (_texts(i, each, rows) for each in pieces)
            home.lake.replace_day("observation_text", PROJECT, day, texts)
        else:
            same = first + timedelta(days=i % _WRITTEN)
            for table in ("observations", "observation_text"):
                _link(home, table, same, day, calls)
        home.lake.replace_day("scores", PROJECT, day, _labels(i % _WRITTEN, day, calls))
    return home


def teach(home: Deployment, rows: pd.DataFrame) -> None:
    """A quality model of HaluEval's labels, as the week before would have left it."""
    from llmops_jobs.evals.batch import Batch
    from llmops_jobs.evals.calls import Call
    from llmops_jobs.evals.model.features import SCORERS, features_of
    from llmops_jobs.evals.model.fit import Examples, train
    from llmops_jobs.evals.model.weekly import TRAIN_EVERY, ExampleStore, QualityModels
    from llmops_jobs.evals.rows import score_calls
    from llmops_jobs.evals.scorer import installed

    calls = [
        Call(str(i), "o", question, answer)
        for i, (question, answer) in enumerate(
            zip(rows["user_query"], rows["chatgpt_response"], strict=True)
        )
    ]
    batch = Batch(calls)
    cheap = score_calls(batch, [each for each in installed() if each.name in SCORERS])
    passed = (rows["hallucination"].str.lower() != "yes").to_numpy(dtype=float)
    everyone = np.ones(len(rows))
    trained = train(Examples(features_of(batch, cheap), passed, everyone > 0, everyone))
    assert trained.model is not None, trained.status
    week = DAY - timedelta(days=DAY.toordinal() % TRAIN_EVERY)
    models = QualityModels(home.database, ExampleStore(home.lake, home.database))
    models._store(PROJECT, "correct", trained, week - timedelta(days=90), week)


def score_before(home: Deployment, calls: int) -> None:
    """Histograms of the scores of the seven days before DAY, of a part of each."""
    from llmops_jobs.evals.measure import Scoring
    from llmops_jobs.evals.reading import slices_of_day
    from llmops_jobs.evals.rows import histogram
    from llmops_jobs.evals.slices import Cheap

    settings = home.settings.evals
    scoring = Scoring.prepared(home.lake, home.database, settings)
    cheap = Cheap(scoring.scorers, scoring.models.of(PROJECT, DAY, settings))
    part = next(iter(slices_of_day(home.lake, PROJECT, DAY - timedelta(days=1), _PART)))
    found = histogram(cheap.score(*part)[1])
    for name in ("n", "w", "w2"):
        found[name] *= max(1, calls // _PART)
    for back in range(1, 8):
        home.database.replace_day("score_histogram", PROJECT, DAY - timedelta(days=back), found)


def _name_project(home: Deployment) -> None:
    from llmops_jobs.langfuse.project import keys_of

    project = {
        "project_id": PROJECT,
        "name": "default",
        "key_hash": keys_of(home.settings.projects[0]).fingerprint,
        "base_url": KEYS["LANGFUSE_BASE_URL"],
        "seen_at": datetime.now(UTC),
    }
    home.database.upsert("project", pd.DataFrame([project]))


def _link(home: Deployment, table: str, of: date, day: date, rows: int) -> None:
    """The file of a day, as the file of another."""
    from llmops_jobs.lake.stream import Streamed

    (file,) = home.lake.files(table, PROJECT, [of])
    inside = f"project_id={PROJECT}/day={day.isoformat()}/{Path(file).name}"
    link = Path(home.lake.uri(table)) / inside
    link.parent.mkdir(parents=True)
    os.link(file, link)
    size = link.stat().st_size
    home.lake.adopt(Streamed(home.lake, table, PROJECT, day, inside, size, rows))


def _labels(of: int, day: date, calls: int) -> pa.Table:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    votes = [
        {
            **_key(of, i * 89 % calls),
            "observation_id": "",
            "name": "user_feedback",
            "value": float(i % 5 > 0),
            "subject_kind": "trace",
            "timestamp": at,
        }
        for i in range(_VOTES)
    ]
    labels = [
        {
            **_key(of, i * 97 % calls),
            "name": "correct",
            "source": "ANNOTATION",
            "value": float(i % 7 > 0),
            "subject_kind": "observation",
            "timestamp": at,
        }
        for i in range(_LABELS)
    ]
    return facts("scores", labels + votes).drop_columns(["project_id", "day"])


def _key(of: int, i: int) -> dict[str, str]:
    return {
        "trace_id": f"{of:x}{i * 2654435761 % 2**32:08x}{i:023x}",
        "observation_id": f"{i:016x}",
    }


def _observations(of: int, day: date, numbers: np.ndarray) -> pa.Table:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = [
        {
            **_key(of, int(i)),
            "start_time": at + timedelta(seconds=int(i) % 86_000),
            "feature": f"feature-{i % 12}",
            "tenant": f"tenant-{i % 5}",
            "model": f"model-{i % 7}",
            "prompt_name": f"prompt-{i % 12}",
            "prompt_version": int(i % 3) + 1,
            "user_id": f"user-{i % 500}",
        }
        for i in numbers
    ]
    return facts("observations", rows).drop_columns(["project_id", "day"])


def _texts(of: int, numbers: np.ndarray, rows: pd.DataFrame) -> pa.Table:
    """Instructions, a question with a retrieved passage, an answer: 2 KB together, every text
    another cut of HaluEval's."""
    answers, questions = rows["chatgpt_response"].tolist(), rows["user_query"].tolist()
    made = []
    for i in numbers:
        first = (int(i) * 7 + of * 13) % (len(answers) - 10)
        text = " ".join(answers[first : first + 10])[int(i) % 50 :]
        asked = questions[(int(i) + of * 17) % len(questions)][:200]
        messages = [
            {"role": "system", "content": "Answer from the context. Be brief and polite."},
            {"role": "user", "content": f"<context>{text[700:1650]}</context>\n{asked}"},
        ]
        made.append(
            {
                **_key(of, int(i)),
                "input": json.dumps(messages),
                "output": text[:850],
                "metadata": "{}",
            }
        )
    return facts("observation_text", made).drop_columns(["project_id", "day"])
