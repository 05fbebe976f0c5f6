"""Scores: what users click and write, what annotators label, what Langfuse's judge gives.

All of it follows from the hidden defect, with noise: unhappy users answer more often than happy
ones, some of both click the wrong thumb, annotators err now and then, the judge errs often.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import numpy as np

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.measured import Ints
from llmops_jobs.demo.replay.observations import Role
from llmops_jobs.demo.replay.plan import DAY_MS, Plan
from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text import comments, prompts
from llmops_jobs.demo.replay.wire import stamps
from llmops_jobs.demo.rows import Row

STREAM: Final = 5
DELAY_DAYS: Final = 3  # the longest that a score comes after its day
HOUR_MS: Final = 3_600_000
SLOW_MS: Final = 25_000

ANSWERS: Final = {"good": 0.07, "bad": 0.17, "lost": 0.14}  # share that gives a thumb
THUMB_UP: Final = {"good": 0.92, "bad": 0.2, "lost": 0.06}
RATES: Final = 0.03  # share that gives stars
LABELS_A_DAY: Final = 14
ANNOTATORS: Final = (("annotator-ana", 0.97), ("annotator-bo", 0.94), ("annotator-cem", 0.9))
QUEUE_ID: Final = "queue-daily-sample"
CONFIGS: Final = {"correct": "config-correct", "rating": "config-rating", "issue": "config-issue"}


def scores_of(plan: Plan, first_ms: int, last_ms: int) -> list[Row]:
    """The scores about a plan's traces that fall into [first_ms, last_ms) of the plan's day."""
    found = [*_feedback(plan), *_labels(plan), *_judged(plan)]
    kept = [entry for entry in found if first_ms <= entry[0] < last_ms]
    times = stamps(plan.day, np.array([at // 1000 * 1000 for at, _ in kept], np.int64))
    return [_row(content, at) for (_, content), at in zip(kept, times, strict=True)]


def _feedback(plan: Plan) -> Iterator[tuple[int, Row]]:
    """Thumbs, stars, issues and free text of users in production."""
    rng = plan.generator(STREAM)
    requests = plan.requests
    size = len(requests)
    ends, lost = _outcome(plan)
    bad = requests.defect > 0
    state = np.where(lost, 2, np.where(bad, 1, 0))
    answers = np.array(list(ANSWERS.values()))[state]
    answers = np.where(np.isin(requests.feature, (app.EXTRACT, app.SUMMARISE)), 0.5, 1) * answers
    users = (requests.user >= 0) & (requests.environment == app.PRODUCTION)
    users &= requests.runaway == 0
    up = np.array(list(THUMB_UP.values()))[state]
    slow = (ends - requests.start_ms > SLOW_MS) & (state == 0)
    up = np.where(slow, 0.75, up)
    thumbs = users & (rng.random(size) < answers)
    ups = rng.random(size) < up
    stars = users & (rng.random(size) < RATES)
    values = np.clip(np.rint(np.where(state == 0, 4.5, 2.1) + rng.normal(0, 0.9, size)), 1, 5)
    # Most click at once; one in twenty comes back within three days.
    delay = rng.exponential(150_000, size) + 3000
    late = rng.random(size) < 0.05
    delay = np.where(late, rng.random(size) * 2.5 * DAY_MS, delay)
    at = (ends + delay).astype(np.int64)
    draws = rng.integers(0, 2**30, size).tolist()
    for i in np.flatnonzero(thumbs).tolist():
        trace, defect, draw = plan.trace_ids[i], int(requests.defect[i]), draws[i]
        language = app.LANGUAGES[requests.language[i]]
        happy = bool(ups[i])
        kind = "slow" if slow[i] else "lost" if lost[i] else Defect(defect).name
        says = draw % 100 < (10 if happy else 35)
        comment = comments.comment(happy, kind, language, draw // 100) if says else None
        subject = {"kind": "trace", "id": trace}
        when = int(at[i])
        yield when, _score(f"thumb-{trace}", "user_feedback", "BOOLEAN", happy, subject, comment)
        if not happy and draw % 10 < 6:
            issue = comments.issue(kind, draw // 10)
            yield when + 4000, _score(f"issue-{trace}", "issue", "CATEGORICAL", issue, subject)
        if not happy and draw % 10 == 9:
            text = comments.comment(False, kind, language, draw // 7)
            yield when + 9000, _score(f"text-{trace}", "feedback_text", "TEXT", text, subject)
    for i in np.flatnonzero(stars).tolist():
        subject = {"kind": "trace", "id": plan.trace_ids[i]}
        value = int(values[i])
        yield int(at[i]), _score(f"stars-{subject['id']}", "rating", "NUMERIC", value, subject)


def _labels(plan: Plan) -> Iterator[tuple[int, Row]]:
    """Labels of annotators on final answers: a random sample of the day."""
    rng = plan.generator(STREAM + 1)
    table, requests = plan.observations, plan.requests
    final = (table.role == Role.CALL) & (table.failure == 0) & (table.last_step == 1)
    product = ~np.isin(requests.feature[table.request], (app.EMBED, app.JUDGE))
    product &= requests.environment[table.request] == app.PRODUCTION
    places = np.flatnonzero(final & product & (requests.runaway[table.request] == 0))
    count = min(len(places), LABELS_A_DAY + int(rng.integers(0, 9)))
    chosen = rng.choice(places, count, replace=False)
    for place in chosen.tolist():
        request = int(table.request[place])
        good = int(requests.defect[request]) == Defect.NONE
        # One in eight is labelled by two, so that their agreement can be measured.
        pair = rng.permutation(len(ANNOTATORS))[: 2 if rng.random() < 0.125 else 1]
        for person in pair.tolist():
            name, care = ANNOTATORS[person]
            value = good if rng.random() < care else not good
            subject = {
                "kind": "observation",
                "id": plan.observation_ids[place],
                "traceId": plan.trace_ids[request],
            }
            at = _office_hours(plan, int(table.end_ms[place]), rng.random())
            yield (
                at,
                _score(
                    f"label-{subject['id']}-{person}",
                    "correct",
                    "BOOLEAN",
                    value,
                    subject,
                    source="ANNOTATION",
                    author=name,
                ),
            )


def _office_hours(plan: Plan, end_ms: int, draw: float) -> int:
    """When it is labelled: the same afternoon, or the next working morning."""
    if end_ms < 15 * HOUR_MS and plan.day.weekday() < 5:
        return int((15 + 3 * draw) * HOUR_MS)
    wait = 1
    while (plan.day + timedelta(days=wait)).weekday() >= 5:
        wait += 1
    return wait * DAY_MS + int((8.5 + 3 * draw) * HOUR_MS)


def _judged(plan: Plan) -> Iterator[tuple[int, Row]]:
    """What Langfuse's own judge wrote, on the root of the judged trace."""
    requests, table = plan.requests, plan.observations
    ends, lost = _outcome(plan)
    roots = _roots(table.request, table.parent)
    for i in np.flatnonzero(requests.feature == app.JUDGE).tolist():
        target = int(requests.target[i])
        if target < 0 or lost[i]:
            continue
        defect, number = int(requests.defect[target]), int(plan.text_draws[i][6])
        value = prompts.judged(defect, number)
        subject = {
            "kind": "observation",
            "id": plan.observation_ids[roots[target]],
            "traceId": plan.trace_ids[target],
        }
        ident = f"judge-{subject['id']}"
        yield (
            int(ends[i]) + 1500,
            _score(ident, "helpfulness", "NUMERIC", value, subject, source="EVAL"),
        )


def _roots(request: Ints, parent: Ints) -> dict[int, int]:
    top = np.flatnonzero(parent < 0)
    return dict(zip(request[top].tolist(), top.tolist(), strict=True))


def _outcome(plan: Plan) -> tuple[Ints, Ints]:
    """End of every trace in milliseconds, and whether it ended without an answer."""
    table, size = plan.observations, len(plan.requests)
    ends = np.zeros(size, np.int64)
    np.maximum.at(ends, table.request, table.end_ms)
    answered = np.zeros(size, bool)
    final = (table.role == Role.CALL) & (table.failure == 0) & (table.last_step == 1)
    answered[table.request[final]] = True
    return ends, ~answered


def _score(
    ident: str,
    name: str,
    kind: str,
    value: Any,
    subject: dict[str, str],
    comment: str | None = None,
    source: str = "API",
    author: str | None = None,
) -> Row:
    return {
        "id": ident,
        "name": name,
        "source": source,
        "comment": comment,
        "authorUserId": author,
        "queueId": QUEUE_ID if source == "ANNOTATION" else None,
        "configId": CONFIGS.get(name) if source == "ANNOTATION" else None,
        "subject": subject,
        "dataType": kind,
        "value": value,
    }


def _row(content: Row, at: str) -> Row:
    return {
        "id": content["id"],
        "projectId": app.PROJECT_ID,
        "name": content["name"],
        "source": content["source"],
        "timestamp": at,
        "environment": "production",
        "createdAt": at,
        "updatedAt": at,
        "comment": content["comment"],
        "configId": content["configId"],
        "metadata": {},
        "authorUserId": content["authorUserId"],
        "queueId": content["queueId"],
        "subject": content["subject"],
        "dataType": content["dataType"],
        "value": content["value"],
    }
