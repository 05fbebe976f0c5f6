"""What a scorer is, how one is written, and how the installed ones are found and run.

    @scorer("no_apology", needs={"answer"})
    def no_apology(call: Call) -> bool:
        return "sorry" not in call.answer.lower()

That is a whole scorer. A package offers its own through the entry point group
`llmops_jobs.scorers`; a function of a framework becomes one by `from_callable`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, Protocol, get_args

from llmops_jobs.errors import ConfigError
from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call

ENTRY_POINTS = "llmops_jobs.scorers"
Kind = Literal["rule", "model", "judge"]
Status = Literal["ok", "skipped", "error"]
_NAME = re.compile(r"[\w.:-]{1,64}")
#: Names that the judge, the quality model and the format rules give their scores.
_TAKEN = ("judge:", "quality_model:", "format:")
_STATUSES = get_args(Status)


@dataclass(frozen=True, slots=True)
class Score:
    """One verdict. `passed` is None where the scorer measures without judging; `reason` must hold
    no text of users: it goes to the database and to reports."""

    value: float | None
    passed: bool | None = None
    label: str = ""
    reason: str = ""
    status: Status = "ok"
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
            return list(self.function(batch))
        return [self._one(call) for call in batch.calls]

    def _one(self, call: Call) -> Any:
        try:
            return self.function(call)
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

    The function gives a Score, a bool (passed or not), a number, or None where it does not apply;
    of a batch one of these per call. Anything else, and a number that is none, is an error of that
    call. Change `version` whenever a
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
        if threshold is None or result is None or isinstance(result, (bool, Score)):
            return result
        return Score(float(result), passed=float(result) >= threshold)

    return FunctionScorer(name, version, "model", frozenset(needs), score)


def run(scorer: Scorer, batch: Batch) -> list[Score]:
    """One Score per call, whatever the scorer does: an exception marks its calls as errors."""
    needs = {name: batch.filled(name) for name in sorted(scorer.needs)}
    if all(map(all, needs.values())):
        applicable, results = list(range(len(batch.calls))), [_NONE] * len(batch.calls)
    else:
        missing = [
            [name for name, filled in needs.items() if not filled[i]]
            for i in range(len(batch.calls))
        ]
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
        results[i] = score if _is_sound(score) else _as_score(score)
    return results


def installed(names: Sequence[str] | None = None) -> list[Scorer]:
    """The scorers that the entry points offer, built-in ones first; `names` selects among them.

    Raises ConfigError for a name that nothing offers, for two scorers of one name, and for an entry
    point that is no scorer or cannot be loaded (unless `names` leaves it out).
    """
    from llmops_jobs.evals.scorers import BUILT_IN

    found: dict[str, Scorer] = {each.name: each for each in BUILT_IN}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            each = _loaded(point)
        except ConfigError:
            if names is not None and point.name not in names:
                continue
            raise
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


def _loaded(point: EntryPoint) -> Scorer:
    where = f"scorer {point.name} ({point.value})"
    try:
        loaded = point.load()
        each = loaded() if isinstance(loaded, type) else loaded
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where} cannot be loaded: {error}") from error
    attributes = ("name", "version", "kind", "needs", "score")
    missing = [name for name in attributes if not hasattr(each, name)]
    if missing:
        raise ConfigError(f"{where} is no scorer: it has no {', '.join(missing)}")
    for what, value in (("name", each.name), ("version", each.version)):
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise ConfigError(f"{where}: its {what} must be 1 to 64 letters, digits, _ . : or -")
    if each.name.startswith(_TAKEN):
        raise ConfigError(f"{where}: names that begin with {', '.join(_TAKEN)} are taken")
    if each.kind not in get_args(Kind):
        raise ConfigError(f"{where}: its kind must be one of {', '.join(get_args(Kind))}")
    known = {each.name for each in fields(Call)} | set(dir(Call))
    unknown = sorted(str(name) for name in set(each.needs) - known)
    if unknown:
        raise ConfigError(f"{where} needs {', '.join(unknown)}, which a call does not have")
    found: Scorer = each
    return found


def _is_sound(score: Any) -> bool:
    """Whether it is what a scorer should give: looked at for every row, so in one expression."""
    return (
        type(score) is Score
        and ((type(score.value) is float and math.isfinite(score.value)) or score.value is None)
        and (score.passed is None or score.passed is True or score.passed is False)
        and (score.value is not None or score.status != "ok")
        and type(score.label) is str
        and type(score.reason) is str
        and type(score.cost_usd) is Decimal
        and score.status in _STATUSES
    )


def _as_score(result: Any) -> Score:
    """Whatever a scorer gave for one call, as a Score; an error where it says nothing."""
    if isinstance(result, Score):
        given = result
    elif result is None:
        return skipped("not applicable")
    else:
        given = Score(result, passed=bool(result) if _is_truth(result) else None)
    try:
        passed = None if given.passed is None else bool(given.passed)
        value = given.value if given.value is not None else passed
        score = Score(
            None if value is None else float(value),
            passed,
            str(given.label),
            str(given.reason),
            given.status,
            Decimal(str(given.cost_usd)),
        )
    except (TypeError, ValueError, ArithmeticError):
        return failed(f"the scorer gave a {type(result).__name__}")
    return score if _is_sound(score) else failed("the scorer gave no number")


def _is_truth(result: Any) -> bool:
    return isinstance(result, bool) or type(result).__name__ in ("bool", "bool_")  # also numpy's


def _reason(error: Exception) -> str:
    """The kind of the exception only: its message may quote what users wrote."""
    return f"the scorer raised {type(error).__name__}"
