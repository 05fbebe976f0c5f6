from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals import scorer as scoring
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.rows import frame, histogram
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


@pytest.mark.parametrize("whole_batch", [False, True])
def test_a_scorer_that_gives_nonsense_gives_error_rows(whole_batch: bool) -> None:
    given: list[Any] = [
        float("nan"), float("inf"), "high", [0.3], Score(None), Score("x"),  # type: ignore[arg-type]
        Score(1.0, status="fine"), object(), np.float32(0.5), np.True_, True, None, 3,  # type: ignore[arg-type]
        Score(np.int64(1), passed=np.False_, cost_usd=0.25),  # type: ignore[arg-type]
        Score(None, passed=True), Score(1.0, reason=None),  # type: ignore[arg-type]
    ]  # fmt: skip
    place = iter(range(len(given)))

    @scorer("odd", whole_batch=whole_batch)
    def odd(calls: Any) -> Any:
        return given if whole_batch else given[next(place)]

    batch = Batch([_call()] * len(given))
    scores = run(odd, batch)
    assert [score.status for score in scores] == ["error"] * 8 + ["ok"] * 3 + [
        "skipped", "ok", "ok", "ok", "ok",
    ]  # fmt: skip
    assert [scores[i].value for i in (8, 9, 10, 12, 13, 14)] == [0.5, 1.0, 1.0, 3.0, 1.0, 1.0]
    assert [scores[i].passed for i in (8, 9, 10, 12, 13, 14)] == [
        None,
        True,
        True,
        None,
        False,
        True,
    ]
    assert scores[13].cost_usd == Decimal("0.25")
    # Whatever it gave, rows come of it that both databases take.
    rows = frame(batch, [("odd", "1", scores)])
    assert len(rows) == len(given) and not histogram([rows]).empty


class _Class:
    """A scorer by the protocol alone."""

    name, version, kind, needs = "own", "1", "rule", frozenset({"answer"})

    def score(self, batch: Batch) -> list[bool]:
        return [True for _ in batch.calls]


def _exit() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "x" * 65}, "its name must be"),
        ({"name": 3}, "its name must be"),
        ({"version": ""}, "its version must be"),
        ({"name": "judge:correctness"}, "are taken"),
        ({"name": "empty"}, "two scorers are called empty"),
        ({"kind": "magic"}, "its kind must be one of"),
        ({"needs": {"answr"}}, "needs answr, which a call does not have"),
        ({"score": None}, "is no scorer: it has no score"),
        (None, "cannot be loaded: 3"),
    ],
)
def test_an_entry_point_that_is_no_scorer_is_named_with_what_is_wrong(
    changes: dict[str, Any] | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {k: v for k, v in vars(_Class).items() if not k.startswith("__")} | (changes or {})
    members = {key: value for key, value in members.items() if value is not None}
    made = type("Own", (), members)

    class _Point:
        name, value = "own", "own:Own"

        def load(self) -> Any:
            return made if changes is not None else _exit()

    monkeypatch.setattr(scoring, "entry_points", lambda group: [_Point()])
    with pytest.raises(ConfigError, match=why):
        installed()
    if "two scorers" not in why:
        assert [each.name for each in installed(["empty"])] == ["empty"]  # it is left out


def test_a_class_by_the_protocol_is_a_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    point = SimpleNamespace(name="own", value="own:Own", load=lambda: _Class)
    monkeypatch.setattr(scoring, "entry_points", lambda group: [point])
    (own,) = installed(["own"])
    assert [score.passed for score in run(own, Batch([_call()]))] == [True]


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
