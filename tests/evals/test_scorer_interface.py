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


class _TestCase:
    """Stands for a framework's test case."""

    def __init__(self, asked: str, actual_output: str, retrieval_context: list[str]) -> None:
        self.input, self.actual_output = asked, actual_output
        self.retrieval_context = retrieval_context


class _FaithfulnessMetric:
    """Stands for a framework's metric class: it measures a test case and keeps score and reason."""

    def __init__(self, threshold: float) -> None:
        self.threshold, self.score = threshold, 0.0

    def measure(self, case: _TestCase) -> float:
        said = set(case.actual_output.lower().split())
        known = set(" ".join(case.retrieval_context).lower().split())
        self.score = len(said & known) / max(1, len(said))
        return self.score


def test_a_metric_class_of_a_framework_plugs_in_as_the_docs_show() -> None:
    metric = _FaithfulnessMetric(threshold=0.7)

    def measure(question: str, answer: str, context: str) -> float:
        return metric.measure(_TestCase(question, answer, [context]))

    faithfulness = from_callable(
        "faithfulness", measure, threshold=metric.threshold, needs={"answer", "context"}
    )
    good = Call("t", "a", "<context>open from nine to five</context>When?", "open from nine")
    bad = Call("t", "b", "<context>open from nine to five</context>When?", "never on a Sunday")
    bare = _call("open from nine")
    scores = run(faithfulness, Batch([good, bad, bare]))
    assert [score.passed for score in scores] == [True, False, None]
    assert scores[2].status == "skipped" and scores[2].reason == "no context"


def test_an_unknown_scorer_in_the_configuration_is_named_with_the_installed_ones() -> None:
    with pytest.raises(ConfigError, match=r"no scorer toxicty; installed: empty, truncated"):
        installed(["toxicty"])
    assert [each.name for each in installed(["pii", "empty"])] == ["pii", "empty"]
