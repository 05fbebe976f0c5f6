"""Drift of one night: what users ask, how scores are distributed, whether the judge changed.

A day is held against the seven days before it (its words against 28, see `words`). All tests of a
night are corrected together, so a quiet night stays quiet however many scorers and topics there
are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd

from llmops_jobs.evals import topics as topic_model
from llmops_jobs.evals.questions import Day, Questions
from llmops_jobs.evals.settings import EvalSettings
from llmops_jobs.evals.shift import (
    Finding,
    Shift,
    false_discovery,
    histogram_shift,
    share_shift,
    text_shift,
)
from llmops_jobs.evals.topics import Topics
from llmops_jobs.evals.words import REFERENCE_DAYS as WORD_DAYS
from llmops_jobs.evals.words import word_findings
from llmops_jobs.store import Database

REFERENCE_DAYS = 7
FIT_DAYS = 14
REFIT_EVERY = 7
_MIN_ROWS = 60
#: Below this p-value of the canary the judge counts as another one.
_CHANGED = 0.05


@dataclass
class DriftHistory:
    """What the nights of one run share: questions read and topics fitted."""

    questions: Questions
    fits: dict[tuple[str, date], Topics | None] = field(default_factory=dict)


def drift_day(
    database: Database, history: DriftHistory, project: str, day: date, settings: EvalSettings
) -> pd.DataFrame:
    """Tests a project's day and replaces its rows in `drift` and `topic_share`."""
    from threadpoolctl import threadpool_limits

    # The words look back furthest.
    looked_at = [day - timedelta(days=back) for back in range(1, WORD_DAYS + 1)]
    history.questions.read_ahead(project, looked_at)
    # Threads gain nothing on matrices of this size, and spin on a busy machine.
    with threadpool_limits(1):
        canary = canary_findings(database, project, day)
        changed = {f"judge:{f.subject}" for f in canary if f.shift.p_value < _CHANGED}
        findings = [
            # What a changed judge says tells of the judge, not of the product.
            *(f for f in score_findings(database, project, day) if f.subject not in changed),
            *topic_findings(database, history, project, day, settings),
            *input_findings(history.questions, project, day, settings.seed),
            *word_findings(history.questions, project, day, settings.words_from_users),
            *canary,
        ]
    adjusted = false_discovery([each.shift.p_value for each in findings])
    rows = pd.DataFrame(
        [
            (f.kind, f.subject, f.shift.statistic, p, f.shift.before, f.shift.after, f.detail)
            for f, p in zip(findings, adjusted, strict=True)
        ],
        columns=["kind", "subject", "statistic", "p_value", "before", "after", "detail"],
    )
    database.replace_day("drift", project, day, rows)
    return rows


def input_findings(questions: Questions, project: str, day: date, seed: int) -> list[Finding]:
    """Whether a classifier can tell today's questions from last week's."""
    before = [t for d in _before(day) for t in questions.of(project, d).texts]
    found = text_shift(before, questions.tested(project, day).texts, seed + day.toordinal())
    if found is None:
        return []
    auc, p = found
    detail = f"today's questions are told from last week's with AUC {auc:.2f} (0.5: not at all)"
    return [Finding("input", "questions", Shift(auc, p, 0.5, auc), detail)]


def score_findings(database: Database, project: str, day: date) -> list[Finding]:
    """Whether a scorer's values are distributed as last week."""
    first = day - timedelta(days=REFERENCE_DAYS)
    rows = database.table("score_histogram", project, first, day)
    sums: dict[str, tuple[_Histogram, _Histogram]] = {}
    columns = (rows[name].tolist() for name in ("scorer", "day", "bucket", "n", "w", "w2"))
    for scorer, of, bucket, n, w, w2 in zip(*columns, strict=True):
        pair = sums.setdefault(scorer, (_Histogram(), _Histogram()))
        pair[of == day].add(bucket, n, w, w2)
    findings = []
    for scorer, (past, today) in sorted(sums.items()):
        if min(today.n, past.n) < _MIN_ROWS:
            continue
        found = histogram_shift(past.weights, past.effective, today.weights, today.effective)
        if found is None:
            continue
        psi, p = found
        detail = f"{scorer}: stability index {psi:.3f} against the week before"
        findings.append(Finding("score", scorer, Shift(psi, p, past.mean, today.mean), detail))
    return findings


@dataclass
class _Histogram:
    """Weights by bucket, and what makes an effective sample size."""

    weights: dict[int, float] = field(default_factory=dict)
    n: int = 0
    w2: float = 0.0

    def add(self, bucket: int, n: int, w: float, w2: float) -> None:
        self.weights[bucket] = self.weights.get(bucket, 0.0) + w
        self.n += n
        self.w2 += w2

    @property
    def effective(self) -> float:
        return sum(self.weights.values()) ** 2 / self.w2

    @property
    def mean(self) -> float:
        """The mean bucket, in tenths."""
        return sum(b * w for b, w in self.weights.items()) / sum(self.weights.values()) / 10


def topic_findings(
    database: Database, history: DriftHistory, project: str, day: date, settings: EvalSettings
) -> list[Finding]:
    """Which topics users ask about more, or less, than last week."""
    topics = _topics(database, history, project, day, settings)
    shares = pd.DataFrame(columns=["topic_id", "n", "share"])
    findings: list[Finding] = []
    if topics is not None:
        today = history.questions.tested(project, day)
        week = [history.questions.of(project, each) for each in _before(day)]
        n_after, counts, after, found = _shares(topics, [today])
        n_before, _, before, _ = _shares(topics, week)
        shares = pd.DataFrame({"topic_id": topics.ids, "n": counts, "share": after})
        for i, name in enumerate(topics.names):
            shift = share_shift(float(before[i]), n_before, float(after[i]), n_after)
            if shift is None or min(n_before, n_after) < _MIN_ROWS:
                continue
            name = name or f"topic {topics.ids[i]}"
            if topics.ids[i] == topic_model.OTHER and after[i] > before[i]:
                words = topic_model.telling_words(
                    today.texts, today.users, found == i, settings.words_from_users
                )
                name += f", such as {words}" if words else ""
            detail = f"“{name}”: {before[i]:.1%} of questions last week, {after[i]:.1%} today"
            findings.append(Finding("topic", topics.ids[i], shift, detail))
    database.replace_day("topic_share", project, day, shares)
    return findings


def canary_findings(database: Database, project: str, day: date) -> list[Finding]:
    """Whether the judge still says of a fixed set of calls what it said a week ago, or at first
    where it has not been asked for a week."""
    keys = ["rubric", "trace_id", "observation_id"]
    week = database.table("judge_canary", project, day - timedelta(days=REFERENCE_DAYS), day)
    before = week[week["day"] < day].sort_values("day").drop_duplicates(keys)
    rows = week[week["day"] == day].merge(
        before[[*keys, "passed"]].rename(columns={"passed": "before"}), on=keys, how="left"
    )
    rows["before"] = rows["before"].where(rows["before"].notna(), rows["first_passed"])
    findings = []
    for rubric, part in rows.groupby("rubric"):
        first, now = part["before"].astype(bool), part["passed"].astype(bool)
        worse, better = int((first & ~now).sum()), int((~first & now).sum())
        if not len(part):
            continue
        from scipy.stats import binomtest

        p = float(binomtest(worse, worse + better).pvalue) if worse + better else 1.0
        shift = Shift(float(worse + better), p, float(first.mean()), float(now.mean()))
        models = ", ".join(sorted(set(part["judge_model"]) - {""}))
        detail = (
            f"{rubric}: the judge ({models or 'unnamed'}) changed its mind on {worse + better} "
            f"of {len(part)} fixed calls"
            + (": what it says of others is not held against last week" if p < _CHANGED else "")
        )
        findings.append(Finding("judge_canary", str(rubric), shift, detail))
    return findings


def _topics(
    database: Database, history: DriftHistory, project: str, day: date, settings: EvalSettings
) -> Topics | None:
    """The topics of the week that `day` is in, fitted on the two weeks before that week."""
    fitted_on = day - timedelta(days=day.toordinal() % REFIT_EVERY)
    key = (project, fitted_on)
    if key not in history.fits:
        days = [fitted_on - timedelta(days=back) for back in range(1, FIT_DAYS + 1)]
        read = [history.questions.of(project, d) for d in days]
        texts = [text for each in read for text in each.texts]
        users = [user for each in read for user in each.users]
        stored = database.table("topic", project)
        earlier = stored[stored["first_seen"] < fitted_on]
        known = {
            row.topic_id: json.loads(row.terms)
            for row in earlier.itertuples()
            if row.topic_id != topic_model.OTHER
        }
        topics = topic_model.fit(texts, users, known, settings.seed, settings.words_from_users)
        if topics is not None:
            rows = topic_model.rows(topics, stored, fitted_on).assign(project_id=project)
            database.upsert("topic", rows)
        history.fits[key] = topics
    return history.fits[key]


def _shares(
    topics: Topics, read: Sequence[Day]
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Effective number of questions, how many were read per topic, the weighted shares, and each
    question's topic."""
    texts = [text for each in read for text in each.texts]
    k = len(topics.ids)
    if not texts:
        return 0.0, np.zeros(k, dtype=int), np.zeros(k), np.zeros(0, dtype=int)
    weights = np.concatenate([each.weights for each in read])
    found = topics.assign(texts)
    shares = np.bincount(found, weights, k) / weights.sum()
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return effective, np.bincount(found, minlength=k), shares, found


def _before(day: date) -> list[date]:
    return [day - timedelta(days=back) for back in range(1, REFERENCE_DAYS + 1)]
