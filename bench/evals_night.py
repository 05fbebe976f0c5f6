"""The nightly evaluation of a large day, without a judge: wall, CPU and the peak of all processes.

`python -m bench evals_night`: 100,000 calls of 2 KB (LLMOPS_EVALS_CALLS for another number), their
scores by rules, by small models and by a quality model, and the rates with people's labels, through
`llmops run --select score,quality_daily` as the nightly job does it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.conftest import SHARED
from tests.facts import facts

DAY = date(2026, 10, 1)
CALLS = int(os.environ.get("LLMOPS_EVALS_CALLS", "100000"))
_PIECE, _LABELS = 10_000, 300
_KEYS = {
    "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
    "LANGFUSE_PUBLIC_KEY": "pk-lf-bench",
    "LANGFUSE_SECRET_KEY": "unused",
}


def run() -> None:
    source = SHARED / "data/halueval_general/general.parquet"
    if not source.exists():
        print("evals: the labelled data is not there; nothing measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | _KEYS | {"LLMOPS_HOME": folder, "LLMOPS_FIRST_DAY": "2026-09-01"}
        _land(folder, environ, pd.read_parquet(source))
        command = [sys.executable, "-m", "llmops_jobs", "run", "--select", "score,quality_daily"]
        command += ["--from", DAY.isoformat(), "--to", DAY.isoformat()]
        started = time.perf_counter()
        before = os.times()
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdout=subprocess.PIPE, text=True
        )
        peak = _Peak(process.pid)
        said, _ = process.communicate()
        peak.stop()
        wall, after = time.perf_counter() - started, os.times()
        cpu = sum(after[2:4]) - sum(before[2:4])
        assert process.returncode == 0, said
        print(
            f"   {CALLS:,} calls: {wall:.0f} s wall, {cpu:.0f} s CPU, {CALLS / cpu:,.0f} calls a "
            f"second of one core, peak {peak.mib:,.0f} MiB in {peak.processes} processes"
        )
        for line in said.splitlines():
            if line.strip().startswith(("score", "quality_daily")):
                print(f"   {line.strip()}")
        _tell_rows(folder)


def _tell_rows(folder: str) -> None:
    from llmops_jobs.store import Database

    database = Database(f"sqlite:///{folder}/llmops.db")
    statuses = database.read("SELECT status, COUNT(*) AS n FROM score GROUP BY status")
    counts = ", ".join(f"{n:,} {status}" for status, n in statuses.itertuples(index=False))
    rates = database.read("SELECT method, COUNT(*) AS n FROM quality_window GROUP BY method")
    print(f"   rows: {counts}; windows: {dict(rates.itertuples(index=False))}")


def _land(folder: str, environ: dict[str, str], rows: pd.DataFrame) -> None:
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.langfuse.project import keys_of

    os.environ.update({name: environ[name] for name in (*_KEYS, "LLMOPS_HOME")})
    home = Deployment.from_environment()
    project = {
        "project_id": "p",
        "name": "default",
        "key_hash": keys_of(home.settings.projects[0]).fingerprint,
        "base_url": _KEYS["LANGFUSE_BASE_URL"],
        "seen_at": datetime.now(UTC),
    }
    home.database.upsert("project", pd.DataFrame([project]))
    home.lake.replace_day("observations", "p", DAY, (_observations(i) for i in _pieces()))
    home.lake.replace_day("observation_text", "p", DAY, (_texts(i, rows) for i in _pieces()))
    labels = [
        {
            "trace_id": f"{i * 97:032x}",
            "observation_id": f"{i * 97:016x}",
            "name": "correct",
            "source": "ANNOTATION",
            "value": float(i % 7 > 0),
            "subject_kind": "observation",
            "timestamp": datetime(2026, 10, 1, 12, tzinfo=UTC),
        }
        for i in range(_LABELS)
    ]
    scores = facts("scores", labels).drop_columns(["project_id", "day"])
    home.lake.replace_day("scores", "p", DAY, scores)
    _teach(home, rows)


def _teach(home: object, rows: pd.DataFrame) -> None:
    """A quality model of HaluEval's labels, as the week before would have left it."""
    from llmops_jobs.deployment import Deployment
    from llmops_jobs.evals.batch import Batch
    from llmops_jobs.evals.calls import Call
    from llmops_jobs.evals.model.features import SCORERS, features_of
    from llmops_jobs.evals.model.fit import Examples, train
    from llmops_jobs.evals.model.weekly import TRAIN_EVERY, ExampleStore, QualityModels
    from llmops_jobs.evals.rows import score_calls
    from llmops_jobs.evals.scorer import installed

    assert isinstance(home, Deployment)
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
    models._store("p", "correct", trained, week - timedelta(days=90), week)


def _pieces() -> Iterator[np.ndarray]:
    for first in range(0, CALLS, _PIECE):
        yield np.arange(first, min(first + _PIECE, CALLS))


def _observations(numbers: np.ndarray) -> pa.Table:
    at = datetime(2026, 10, 1, tzinfo=UTC)
    rows = [
        {
            "trace_id": f"{i:032x}",
            "observation_id": f"{i:016x}",
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


def _texts(numbers: np.ndarray, rows: pd.DataFrame) -> pa.Table:
    """Instructions, a question with a retrieved passage, an answer: 2 KB together, every text
    another cut of HaluEval's."""
    answers, questions = rows["chatgpt_response"].tolist(), rows["user_query"].tolist()
    made = []
    for i in numbers:
        first = int(i * 7) % (len(answers) - 10)
        text = " ".join(answers[first : first + 10])[int(i) % 50 :]
        user = f"<context>{text[700:1650]}</context>\n{questions[i % len(questions)][:200]}"
        messages = [
            {"role": "system", "content": "Answer from the context. Be brief and polite."},
            {"role": "user", "content": user},
        ]
        made.append(
            {
                "trace_id": f"{i:032x}",
                "observation_id": f"{i:016x}",
                "input": json.dumps(messages),
                "output": text[:850],
                "metadata": "{}",
            }
        )
    return facts("observation_text", made).drop_columns(["project_id", "day"])


class _Peak:
    """The largest sum of the proportional set sizes of a process and its children."""

    def __init__(self, pid: int) -> None:
        self.mib, self.processes, self._pid, self._over = 0.0, 0, pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            sizes = [_pss(pid) for pid in _family(self._pid)]
            if sum(sizes) > self.mib:
                self.mib, self.processes = sum(sizes), len(sizes)


def _family(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(child))]


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    run()
