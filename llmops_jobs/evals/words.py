"""Words that users of a feature suddenly write: what a new subject shows first.

Topics are clusters of what was asked before, and few of a day's texts are read; one word that a
quarter of the questions share is plain in thirty of them. Every word is tested by Fisher's exact
test against the four weeks before, within questions that were chosen alike (drawn, or always read
because people judged them), and the smallest p-value is multiplied by the number of words that
could have moved (Bonferroni; Tarone 1990 for which those are).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import islice
from statistics import median

import numpy as np

from llmops_jobs.evals.questions import Day, Questions, Stratum, Words, read_on, words_of
from llmops_jobs.evals.shift import Finding, Shift
from llmops_jobs.lake import Lake

REFERENCE_DAYS = 28
_LEAST_DAYS = 7
_LEAST_TODAY = 12
_LEAST_BEFORE = 60
#: A word in fewer of a day's questions makes no subject, nor one in fewer than three.
_LEAST_SHARE = 0.1
_LEAST_COUNT = 3
#: Robust standard deviations of the days before that are a word's usual ups and downs.
_SPREADS = 3.0
_TRIED = 20  # words that are tested exactly: those that moved furthest


def word_findings(questions: Questions, project: str, day: date, floor: int) -> list[Finding]:
    """The word that grew most improbably, for every feature with enough questions. It is named
    when at least `floor` users wrote it."""
    days = [day - timedelta(days=back) for back in range(1, REFERENCE_DAYS + 1)]
    before = [questions.of(project, each).words for each in days]
    asked = questions.tested(project, day)
    findings = []
    for feature in sorted({name for name, _ in asked.words}):
        found = rise(before, asked.words, feature)
        if found is None:
            continue
        word, shift = found
        many = _written_by([asked, *(questions.of(project, each) for each in days)], word, floor)
        named = f"“{word}”" if many else "one word"
        detail = (
            f"questions of {feature or '(none)'}: {named} was in {shift.before:.1%} of them in the "
            f"{REFERENCE_DAYS} days before, and in {shift.after:.1%} today"
        )
        findings.append(Finding("words", f"feature={feature}", shift, detail))
    return findings


def _written_by(days: Sequence[Day], word: str, floor: int) -> bool:
    """Whether at least `floor` users wrote a word; of no word where that is 0."""
    if not word or not floor:
        return False
    writers: set[str] = set()
    for user in (user for each in days for user in each.writers(word)):
        writers.add(user)
        if len(writers) >= floor:
            return True
    return False


def showing(lake: Lake, project: str, day: date, feature: str, n: int) -> list[tuple[str, str]]:
    """(trace, observation) of calls of a feature whose question has the word that rose most."""
    questions = Questions(lake)
    days = [day - timedelta(days=back) for back in range(1, REFERENCE_DAYS + 1)]
    before = [questions.of(project, each).words for each in days]
    found = rise(before, questions.tested(project, day).words, feature)
    if found is None or not found[0]:
        return []
    asked = (call for call in read_on(lake, project, day) if call.feature == feature)
    mine = (call for call in asked if found[0] in words_of(call.question))
    return [(call.trace_id, call.observation_id) for call in islice(mine, n)]


def rise(
    before: Sequence[dict[Stratum, Words]], today: dict[Stratum, Words], feature: str
) -> tuple[str, Shift] | None:
    """(word, shift) of the word of a feature whose share rose most improbably; None with too few
    questions. `before` and `after` are shares of questions, the former as today's choice of
    questions would have it; p is corrected for the number of words."""
    past: dict[bool, list[Words]] = {
        always: [each[feature, always] for each in before if (feature, always) in each]
        for always in (False, True)
    }
    strata = [
        (today[feature, always], _total(past[always]))
        for always in (False, True)
        if (feature, always) in today and past[always]
    ]
    n = sum(now.n for now, _ in strata)
    days = sum(any((feature, always) in each for always in (False, True)) for each in before)
    if n < _LEAST_TODAY or sum(old.n for _, old in strata) < _LEAST_BEFORE or days < _LEAST_DAYS:
        return None
    least = max(_LEAST_COUNT, _LEAST_SHARE * n)
    able = _able(strata, least)
    moved = []
    for word in able:
        count = sum(now.in_questions[word] for now, _ in strata)
        expected, variance = _by_chance(strata, word)
        if count >= least and variance > 0 and count > expected:
            moved.append(((count - expected) / math.sqrt(variance), word, count, expected))
    moved.sort(key=lambda each: (-each[0], each[1]))
    best = ("", Shift(0.0, 1.0, 0.0, 0.0))
    for z, word, count, expected in moved[:_TRIED]:
        if count / n <= _usual(before, feature, word):
            continue
        p = min(1.0, _exact(strata, word, count) * len(able))
        if p < best[1].p_value:
            best = (word, Shift(z, p, expected / n, count / n))
    return best


def _total(days: Sequence[Words]) -> Words:
    total = Words()
    for each in days:
        total.n += each.n
        total.in_questions.update(each.in_questions)
    return total


def _able(strata: Sequence[tuple[Words, Words]], least: float) -> list[str]:
    """Words that are in enough questions, of today and before together, to have moved."""
    counts = _total([words for pair in strata for words in pair]).in_questions
    return [word for word, count in counts.items() if count >= least]


def _by_chance(strata: Sequence[tuple[Words, Words]], word: str) -> tuple[float, float]:
    """Mean and variance of today's count, were today a day like the others (Mantel & Haenszel)."""
    expected = variance = 0.0
    for now, old in strata:
        n, whole = now.n, now.n + old.n
        share = (now.in_questions[word] + old.in_questions[word]) / whole
        expected += n * share
        variance += n * share * (1 - share) * (whole - n) / max(whole - 1, 1)
    return expected, variance


def _exact(strata: Sequence[tuple[Words, Words]], word: str, count: int) -> float:
    """The chance of so many or more questions with the word: the sum of hypergeometric counts."""
    from scipy.stats import hypergeom

    pmf = np.ones(1)
    for now, old in strata:
        having = now.in_questions[word] + old.in_questions[word]
        pmf = np.convolve(pmf, hypergeom.pmf(np.arange(now.n + 1), now.n + old.n, having, now.n))
    return float(pmf[count:].sum())


def _usual(before: Sequence[dict[Stratum, Words]], feature: str, word: str) -> float:
    """The share of questions that the word reaches on a day like those before."""
    shares = []
    for each in before:
        mine = [each[feature, a] for a in (False, True) if (feature, a) in each]
        n = sum(words.n for words in mine)
        if n:
            shares.append(sum(words.in_questions[word] for words in mine) / n)
    middle = median(shares)
    return middle + _SPREADS * 1.4826 * median(abs(share - middle) for share in shares)
