from __future__ import annotations

import pytest

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import Score, from_callable, installed, run, scorer


def _call(answer: str = "Fine.", question: str = "How are you?") -> Call:
    return Call("t", "o", question, answer)


def test_a_scorer_is_one_decorated_function() -> None:
    @scorer("no_apology")
    def no_apology(call: Call) -> bool:
        return "sorry" not in call.answer.lower()

    scores = run(no_apology, Batch([_call(), _call("Sorry!")]))
    assert [score.passed for score in scores] == [True, False]
    assert [score.value for score in scores] == [1.0, 0.0]


def test_an_exception_is_an_error_row_that_quotes_nobody_and_the_others_are_scored() -> None:
    @scorer("fragile")
    def fragile(call: Call) -> float:
        if call.answer == "bad":
            raise ValueError(f"cannot read {call.answer} by alice@example.com")
        return 1.0

    scores = run(fragile, Batch([_call(), _call("bad"), _call()]))
    assert [score.status for score in scores] == ["ok", "error", "ok"]
    assert scores[1].reason == "the scorer raised ValueError"


def test_a_batch_scorer_that_breaks_or_miscounts_fails_its_calls_only() -> None:
    @scorer("short", whole_batch=True)
    def short(batch: Batch) -> list[Score]:
        return [Score(1.0)]

    scores = run(short, Batch([_call(), _call()]))
    assert [score.status for score in scores] == ["error", "error"]


def test_a_call_that_lacks_what_is_needed_is_skipped_not_failed() -> None:
    @scorer("grounded", needs={"answer", "context"})
    def grounded(call: Call) -> bool:
        return False

    (score,) = run(grounded, Batch([_call()]))
    assert (score.status, score.passed, score.reason) == ("skipped", None, "no context")


def test_a_metric_of_a_framework_plugs_in() -> None:
    metric = from_callable("overlap", lambda q, a, c: len(set(q) & set(a)) / 10, threshold=0.3)
    (score,) = run(metric, Batch([_call("abcd", "abc")]))
    assert (score.value, score.passed) == (0.3, True)


def test_an_unknown_scorer_in_the_configuration_is_named_with_the_installed_ones() -> None:
    with pytest.raises(ConfigError, match=r"no scorer toxicty; installed: empty, truncated"):
        installed(["toxicty"])
    assert [each.name for each in installed(["pii", "empty"])] == ["pii", "empty"]
