"""What a scorer is, how one is written, and how the installed ones are found and run.

    @scorer("no_apology", needs={"answer"})
    def no_apology(call: Call) -> bool:
        return "sorry" not in call.answer.lower()

That is a whole scorer. A package offers its own through the entry point group
`llmops_jobs.scorers`; a function of a framework becomes one by `from_callable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call

ENTRY_POINTS = "llmops_jobs.scorers"
Kind = Literal["rule", "model", "judge"]


@dataclass(frozen=True, slots=True)
class Score:
    """One verdict. `passed` is None where the scorer measures without judging; `reason` must hold
    no text of users: it goes to the database and to reports."""

    value: float | None
    passed: bool | None = None
    label: str = ""
    reason: str = ""
    status: Literal["ok", "skipped", "error"] = "ok"
    cost_usd: Decimal = Decimal(0)


def skipped(reason: str) -> Score:
    """Not applicable to this call; neither a pass nor a failure."""
    return Score(None, reason=reason, status="skipped")


_NONE = Score(None)  # stands until the scorer has answered


def failed(reason: str) -> Score:
    """The scorer broke on this call."""
    return Score(None, reason=reason, status="error")


class Scorer(Protocol):
    """`score` answers with one Score per call of the batch, in order. `needs` names fields of Call
    that must not be empty: calls that lack one are skipped without being shown to the scorer."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def needs(self) -> frozenset[str]: ...

    def score(self, batch: Batch) -> Sequence[Score]: ...


@dataclass(frozen=True)
class FunctionScorer:
    name: str
    version: str
    kind: Kind
    needs: frozenset[str]
    function: Callable[..., Any] = field(repr=False)
    whole_batch: bool = False

    def score(self, batch: Batch) -> Sequence[Score]:
        if self.whole_batch:
            return [_as_score(result) for result in self.function(batch)]
        return [self._one(call) for call in batch.calls]

    def _one(self, call: Call) -> Score:
        try:
            return _as_score(self.function(call))
        except Exception as error:
            return failed(_reason(error))


def scorer(
    name: str,
    *,
    version: str = "1",
    kind: Kind = "rule",
    needs: Iterable[str] = ("answer",),
    whole_batch: bool = False,
) -> Callable[[Callable[..., Any]], FunctionScorer]:
    """Makes a scorer of a function of one Call (or, with `whole_batch`, of a Batch).

    The function gives a Score, a bool (passed or not) or a number. Change `version` whenever a
    change alters results: scores are kept per version.
    """

    def decorate(function: Callable[..., Any]) -> FunctionScorer:
        return FunctionScorer(name, version, kind, frozenset(needs), function, whole_batch)

    return decorate


def from_callable(
    name: str,
    function: Callable[[str, str, str], Any],
    *,
    version: str = "1",
    threshold: float | None = None,
    needs: Iterable[str] = ("question", "answer"),
) -> FunctionScorer:
    """A metric of any framework: `function(question, answer, context)` gives a number or a bool.

    With `threshold` a number from there on passes.
    """

    def score(call: Call) -> Any:
        result = function(call.question, call.answer, call.context)
        if threshold is None or isinstance(result, bool):
            return result
        return Score(float(result), passed=float(result) >= threshold)

    return FunctionScorer(name, version, "model", frozenset(needs), score)


def run(scorer: Scorer, batch: Batch) -> list[Score]:
    """One Score per call, whatever the scorer does: an exception marks its calls as errors."""
    missing = [_missing(scorer, call) for call in batch.calls]
    applicable = [i for i, names in enumerate(missing) if not names]
    results = [skipped(f"no {', '.join(names)}") if names else _NONE for names in missing]
    if not applicable:
        return results
    part = batch if len(applicable) == len(batch.calls) else batch.part(applicable)
    try:
        scores = list(scorer.score(part))
        if len(scores) != len(applicable):
            raise ValueError(f"{len(scores)} scores for {len(applicable)} calls")
    except Exception as error:
        scores = [failed(_reason(error))] * len(applicable)
    for i, score in zip(applicable, scores, strict=True):
        results[i] = score
    return results


def installed(names: Sequence[str] | None = None) -> list[Scorer]:
    """The scorers that the entry points offer, built-in ones first; `names` selects among them.

    Raises ConfigError for a name that nothing offers, and for two scorers of one name.
    """
    from llmops_jobs.evals.scorers import BUILT_IN

    found: dict[str, Scorer] = {each.name: each for each in BUILT_IN}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            loaded = point.load()
        except Exception as error:
            raise ConfigError(
                f"scorer {point.name} ({point.value}) cannot be loaded: {error}"
            ) from error
        each = loaded() if isinstance(loaded, type) else loaded
        if each.name in found:
            raise ConfigError(
                f"two scorers are called {each.name}: rename the one of {point.value}"
            )
        found[each.name] = each
    if names is None:
        return list(found.values())
    unknown = [name for name in names if name not in found]
    if unknown:
        raise ConfigError(
            f"evals.scorers: no scorer {', '.join(unknown)}; installed: {', '.join(found)}"
        )
    return [found[name] for name in names]


def _missing(scorer: Scorer, call: Call) -> list[str]:
    return [name for name in sorted(scorer.needs) if not getattr(call, name)]


def _as_score(result: Any) -> Score:
    if isinstance(result, Score):
        return result
    if isinstance(result, bool):
        return Score(float(result), passed=result)
    if result is None:
        return skipped("not applicable")
    return Score(float(result))


def _reason(error: Exception) -> str:
    """The kind of the exception only: its message may quote what users wrote."""
    return f"the scorer raised {type(error).__name__}"
