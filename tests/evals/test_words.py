"""A new subject in few questions: found on its first day, and not where only the choice differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import fisher_exact

from llmops_jobs.evals.questions import Questions, Stratum, Words
from llmops_jobs.evals.words import rise, word_findings
from llmops_jobs.lake import Lake
from tests.evals.test_night import PROJECT, land

_USUAL = [f"subject{chr(97 + i)}" for i in range(20)]
_FEW = 30  # questions of a feature that are read on a day


def _day(
    rng: np.random.Generator, leak: float, n: int = _FEW, always: bool = False
) -> dict[Stratum, Words]:
    questions = [
        {"question", "leak" if rng.random() < leak else str(rng.choice(_USUAL))} for _ in range(n)
    ]
    counts = Counter(word for question in questions for word in question)
    return {("chat", always): Words(n, counts)}


def _month(rng: np.random.Generator, leak: float = 0.02) -> list[dict[Stratum, Words]]:
    return [_day(rng, leak) for _ in range(28)]


def test_a_word_of_a_third_of_thirty_questions_is_found_on_its_first_day() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(40):
        seen = rise(_month(rng), _day(rng, leak=0.35), "chat")
        assert seen is not None
        word, shift = seen
        found += word == "leak" and shift.p_value < 1e-3 and shift.after - shift.before > 0.1
    assert found >= 38


def test_quiet_days_are_quiet() -> None:
    rng = np.random.default_rng(2)
    shifts = [rise(_month(rng), _day(rng, leak=0.02), "chat") for _ in range(150)]
    assert sum(shift is not None and shift[1].p_value < 0.05 for shift in shifts) <= 7
    assert sum(shift is not None and shift[1].p_value < 0.01 for shift in shifts) <= 2


def test_the_chance_is_that_of_fisher_s_test_times_the_words_that_could_have_moved() -> None:
    before = [{("chat", False): Words(20, Counter({"leak": 1, "other": 19}))} for _ in range(10)]
    today = {("chat", False): Words(20, Counter({"leak": 9, "other": 11}))}
    seen = rise(before, today, "chat")
    assert seen is not None
    fisher = fisher_exact([[9, 11], [10, 190]], alternative="greater").pvalue
    assert seen[1].p_value == pytest.approx(2 * fisher)
    assert (seen[0], seen[1].after) == ("leak", 0.45)


def test_more_questions_that_people_judged_are_no_new_subject() -> None:
    """Those are of complaints more often; on a day with twice as many, complaints are not more."""
    rng = np.random.default_rng(3)
    before = [{**_day(rng, 0.02), **_day(rng, 0.6, n=8, always=True)} for _ in range(28)]
    today = {**_day(rng, 0.02), **_day(rng, 0.6, n=40, always=True)}
    seen = rise(before, today, "chat")
    assert seen is not None and seen[1].p_value > 0.05


def test_a_word_that_comes_in_waves_is_usual() -> None:
    rng = np.random.default_rng(4)
    waves = [_day(rng, leak=0.3 if day % 3 == 0 else 0.02) for day in range(28)]
    seen = rise(waves, _day(rng, leak=0.3), "chat")
    assert seen is not None and seen[1].p_value > 1e-3


def test_too_few_questions_say_nothing() -> None:
    rng = np.random.default_rng(5)
    assert rise(_month(rng), _day(rng, 0.5, n=8), "chat") is None
    assert rise(_month(rng)[:5], _day(rng, 0.5), "chat") is None
    assert rise(_month(rng), _day(rng, 0.5), "search") is None
    assert rise([], {}, "chat") is None


def _land(lake: Lake, day: date, texts: Sequence[str], **about: str) -> None:
    land(lake, day, ["It is on its way."] * len(texts), questions=list(texts), **about)


def test_the_calls_of_one_user_with_the_same_words_are_one_question(lake: Lake) -> None:
    days = [date(2026, 3, 1) + timedelta(days=i) for i in range(20)]
    usual = [f"where is my {word} please" for word in _USUAL]
    for day in days[:-1]:
        _land(lake, day, usual, feature="chat")
    _land(lake, days[-1], [*usual, *["my secretword loops"] * 30], feature="chat", user_id="loop")
    questions = Questions(lake)
    assert questions.of(PROJECT, days[-1]).words["chat", True].n == len(usual) + 1
    assert questions.of(PROJECT, days[-1]).weights.sum() == len(usual) + 30
    (quiet,) = word_findings(questions, PROJECT, days[-1], floor=20)
    assert quiet.shift.p_value == 1


@pytest.mark.parametrize(("floor", "named"), [(10, True), (20, False), (0, False)])
def test_a_word_is_named_only_when_many_users_wrote_it(lake: Lake, floor: int, named: bool) -> None:
    days = [date(2026, 3, 1) + timedelta(days=i) for i in range(20)]
    usual = [f"where is my {word} please" for word in _USUAL]
    for day in days:
        leaks = [f"was my {word} in the leak" for word in _USUAL[: 12 if day == days[-1] else 0]]
        _land(lake, day, [*usual, *leaks], feature="chat")
    (found,) = word_findings(Questions(lake), PROJECT, days[-1], floor)
    assert (found.kind, found.subject) == ("words", "feature=chat")
    assert found.shift.p_value < 1e-4
    assert ("leak" in found.detail) is named
