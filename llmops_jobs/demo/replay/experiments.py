"""A golden dataset and the experiment runs over it that a release gate compares.

The baseline is the prompt that was in production, one candidate the prompt of the marked
regression, the other its repair: the gate should fail the first and pass the second.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text import prompts
from llmops_jobs.demo.replay.text.conversation import Conversation, converse
from llmops_jobs.demo.replay.text.handbook import TOPICS
from llmops_jobs.demo.replay.wire import stamps
from llmops_jobs.demo.rows import Row

DATASET: Final = "support-golden"
DATASET_ID: Final = "dataset-support-golden"
ITEMS: Final = 160
# Run name -> days before the last day, rates of bad answers, factor on tokens.
RUNS: Final[dict[str, tuple[int, dict[Defect, float], float]]] = {
    "rag-answer-v3-baseline": (11, {Defect.UNGROUNDED: 0.04, Defect.REFUSAL: 0.03}, 1.0),
    "rag-answer-v4-candidate": (10, {Defect.UNGROUNDED: 0.27, Defect.WRONG: 0.05}, 1.1),
    "rag-answer-v5-candidate": (1, {Defect.UNGROUNDED: 0.02, Defect.REFUSAL: 0.02}, 0.9),
}
_ITEM_SEED: Final = 2_000_003


def dataset(last_day: date) -> Row:
    stamp = f"{last_day - timedelta(days=120)}T09:00:00.000Z"
    return {
        "name": DATASET,
        "description": "Questions with the answer of the handbook",
        "metadata": None,
        "inputSchema": None,
        "expectedOutputSchema": None,
        "projectId": app.PROJECT_ID,
        "createdAt": stamp,
        "updatedAt": stamp,
        "id": DATASET_ID,
    }


def dataset_items(seed: int, last_day: date) -> list[Row]:
    stamp = f"{last_day - timedelta(days=120)}T09:00:00.000Z"
    return [
        {
            "id": _item_id(number),
            "datasetId": DATASET_ID,
            "sourceTraceId": None,
            "sourceObservationId": None,
            "status": "ACTIVE",
            "createdAt": stamp,
            "updatedAt": stamp,
            "input": {"question": talk.question, "documents": list(talk.documents)},
            "expectedOutput": talk.answer,
            "metadata": None,
            "datasetName": DATASET,
            "mediaReferences": [],
        }
        for number, talk in enumerate(_golden(seed))
    ]


def items(seed: int, last_day: date) -> list[Row]:
    """Every item of every run, as `GET /experiment-items` returns them with all field groups."""
    golden = _golden(seed)
    draws = _draws(seed)
    rows: list[Row] = []
    for number, name in enumerate(RUNS):
        rows += _run(
            name, np.random.default_rng([seed, _ITEM_SEED, number]), golden, draws, last_day
        )
    return rows


def _run(
    name: str,
    rng: np.random.Generator,
    golden: list[Conversation],
    draws: list[list[int]],
    last_day: date,
) -> list[Row]:
    ago, rates, more = RUNS[name]
    day = last_day - timedelta(days=ago)
    # What is hard for one run is mostly hard for the others.
    hardness = np.array([draw[7] / 2**30 for draw in draws])
    luck = np.where(rng.random(ITEMS) < 0.7, hardness, rng.random(ITEMS))
    kinds = np.array([*rates, Defect.NONE])
    defects = kinds[np.searchsorted(np.cumsum(list(rates.values())), luck)].tolist()
    # A long answer is long for every run.
    length = np.array([0.5 + draw[6] / 2**30 for draw in draws])
    took = length * rng.lognormal(np.log(1800), 0.12, ITEMS) * more
    start_ms = 9 * 3_600_000 + np.arange(ITEMS) * 2_500
    start, end = stamps(day, start_ms), stamps(day, (start_ms + took).astype(np.int64))
    tokens = length * rng.lognormal(np.log(900), 0.1, ITEMS) * more
    rows = []
    for at, (talk, defect) in enumerate(zip(golden, defects, strict=True)):
        answer = converse("en", at % len(TOPICS), defect, draws[at]).answer
        grounded = {Defect.UNGROUNDED: 0.25, Defect.WRONG: 0.75}.get(Defect(defect), 0.95)
        trace = rng.bytes(16).hex()
        values: dict[str, tuple[str, Any]] = {
            "correct": ("BOOLEAN", defect == Defect.NONE),
            "groundedness": ("NUMERIC", round(float(np.clip(rng.normal(grounded, 0.04), 0, 1)), 3)),
            "latency_s": ("NUMERIC", round(float(took[at]) / 1000, 3)),
            "cost_usd": ("NUMERIC", round(float(tokens[at]) * 1e-6 + 0.0004, 7)),
        }
        rows.append(
            {
                "id": trace[:16],
                "traceId": trace,
                "startTime": start[at],
                "endTime": end[at],
                "level": "DEFAULT",
                "environment": "sdk-experiment",
                "experimentId": f"experiment-{name}",
                "experimentName": name,
                "experimentItemId": _item_id(at),
                "experimentDatasetId": DATASET_ID,
                "experimentItemVersion": None,
                "input": prompts.with_context(talk.documents, talk.question),
                "output": answer,
                "expectedOutput": talk.answer,
                "metadata": {},
                "experimentItemMetadata": {},
                "experimentMetadata": {"prompt": name.rsplit("-", 1)[0]},
                "experimentDescription": None,
                "scores": [
                    _score(key, kind, value, trace, end[at])
                    for key, (kind, value) in values.items()
                ],
            }
        )
    return rows


def _score(name: str, kind: str, value: Any, trace: str, at: str) -> Row:
    return {
        "id": f"{name}-{trace}",
        "projectId": app.PROJECT_ID,
        "name": name,
        "source": "API",
        "timestamp": at,
        "environment": "sdk-experiment",
        "createdAt": at,
        "updatedAt": at,
        "comment": None,
        "configId": None,
        "metadata": {},
        "authorUserId": None,
        "queueId": None,
        "subject": {"kind": "trace", "id": trace},
        "dataType": kind,
        "value": value,
    }


def _item_id(number: int) -> str:
    return f"golden-{number:03d}"


def _draws(seed: int) -> list[list[int]]:
    rng = np.random.default_rng([seed, _ITEM_SEED])
    draws: list[list[int]] = rng.integers(0, 2**30, (ITEMS, 8)).tolist()
    return draws


def _golden(seed: int) -> list[Conversation]:
    return [
        converse("en", number % len(TOPICS), Defect.NONE, draws)
        for number, draws in enumerate(_draws(seed))
    ]
