"""The decision of one metric from paired values: margins, intervals, flaky items.

Every item is its own control: the candidate's mean over repeats minus the baseline's. The interval
of the mean difference is a percentile-t bootstrap over items for any scale and, for pass/fail items
without repeats, the exact conditional (McNemar) test decides whether a loss is real. An item whose
repeats disagree is flaky: a verdict that would change with the outcome of flaky items alone is not
given.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from llmops_jobs.versions.gate.rules import MetricRule

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["pass", "fail", "inconclusive"]
_RESAMPLES = 2000


@dataclass(frozen=True)
class Decision:
    """`difference` is candidate minus baseline in the metric's own direction."""

    metric: str
    verdict: Verdict
    reason: str
    items: int
    baseline: float
    candidate: float
    difference: float
    low: float
    high: float
    p_value: float
    margin: float
    needed: int | None
    flaky: tuple[str, ...]
    regressed: tuple[str, ...]
    all_repeats_passed: float | None  # pass^k of the candidate, for pass/fail items


def decide(metric: str, paired: pd.DataFrame, rule: MetricRule, alpha: float) -> Decision:
    """`paired` has item_id, baseline and candidate (means over repeats), and baseline_low/high,
    candidate_low/high (the item's worst and best repeat)."""
    sign = 1.0 if rule.higher_is_better else -1.0
    base = paired["baseline"].to_numpy(dtype=float)
    cand = paired["candidate"].to_numpy(dtype=float)
    margin = rule.margin * (abs(base.mean()) if rule.relative else 1.0)
    gain = sign * (cand - base)
    low, high = interval(gain, alpha)
    p_value = loss_p_value(gain, base, cand)
    verdict, reason = verdict_of(low, high, p_value, margin, alpha)
    verdict, reason = bounded(cand, rule, alpha, verdict, reason)
    flaky = _flaky(paired)
    if verdict != "inconclusive" and flaky.any():
        for best in (True, False):
            other = _resolved(paired, flaky, sign, best=best)
            bounds = interval(other, alpha)
            again, _ = verdict_of(
                *bounds, loss_p_value(other, base, base + sign * other), margin, alpha
            )
            if again != verdict and again != "inconclusive":
                verdict = "inconclusive"
                reason = f"the verdict hangs on {int(flaky.sum())} flaky items"
                break
    binary = bool(np.isin(np.concatenate([base, cand]), (0.0, 1.0)).all()) or _binary(paired)
    ids = paired["item_id"].astype(str)
    return Decision(
        metric=metric,
        verdict=verdict,
        reason=reason,
        items=len(paired),
        baseline=float(base.mean()),
        candidate=float(cand.mean()),
        difference=float((cand - base).mean()),
        low=float(min(sign * low, sign * high)),
        high=float(max(sign * low, sign * high)),
        p_value=p_value,
        margin=float(margin),
        needed=_needed(gain, low, margin) if verdict == "inconclusive" else None,
        flaky=tuple(ids[flaky]),
        regressed=tuple(ids[gain < 0]),
        all_repeats_passed=float((paired["candidate_low"] == 1).mean()) if binary else None,
    )


def verdict_of(
    low: float, high: float, p_value: float, margin: float, alpha: float
) -> tuple[Verdict, str]:
    """From the interval of the gain, in the metric's good direction, and the p-value of a loss."""
    if high < -margin and p_value < alpha:
        return "fail", "worse than the margin allows"
    if low >= -margin:
        return "pass", "no loss beyond the margin" if low < 0 else "not worse"
    return "inconclusive", "the interval reaches across the margin"


def bounded(
    cand: np.ndarray, rule: MetricRule, alpha: float, verdict: Verdict, reason: str
) -> tuple[Verdict, str]:
    """Absolute limits on the candidate's mean; they can only make a verdict worse."""
    if rule.minimum is None and rule.maximum is None:
        return verdict, reason
    low, high = interval(cand, alpha)
    for limit, beyond, unsure, word in (
        (rule.minimum, high, low, "below the minimum"),
        (rule.maximum, low, high, "above the maximum"),
    ):
        if limit is None:
            continue
        side = 1 if word.startswith("below") else -1
        if side * beyond < side * limit:
            return "fail", f"{word} of {limit:g}"
        if side * unsure < side * limit and verdict == "pass":
            verdict, reason = "inconclusive", f"may be {word} of {limit:g}"
    return verdict, reason


def interval(values: np.ndarray, alpha: float) -> tuple[float, float]:
    """Two-sided 1 - alpha interval of the mean: bootstrap-t over items, seeded by the values.

    The same values give the same interval, so the same files give the same verdict.
    """
    n = len(values)
    mean, spread = float(values.mean()), float(values.std(ddof=1)) if n > 1 else math.inf
    if n < 2:
        return -math.inf, math.inf
    if spread == 0:
        # No item differs: with n items a difference in fewer than about 3/n of all is not excluded.
        unseen = 1 - (alpha / 2) ** (1 / n)
        scale = abs(mean) or 1.0
        return (mean - unseen * scale, mean + unseen * scale) if mean else (-0.0, 0.0)
    seed = int.from_bytes(hashlib.sha256(np.sort(values).tobytes()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(0, n, (_RESAMPLES, n))]
    means, errors = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / math.sqrt(n)
    error = spread / math.sqrt(n)
    # A resample without spread says nothing of t; the plain error stands in.
    t = (means - mean) / np.where(errors > 0, errors, error)
    lower, upper = np.quantile(t, [alpha / 2, 1 - alpha / 2])
    return mean - float(upper) * error, mean - float(lower) * error


def loss_p_value(gain: np.ndarray, base: np.ndarray, cand: np.ndarray) -> float:
    """Two-sided p-value of no difference: exact McNemar for pass/fail, else Wilcoxon's."""
    from scipy import stats

    moved = gain[gain != 0]
    if not len(moved):
        return 1.0
    if np.isin(np.concatenate([base, cand]), (0.0, 1.0)).all():
        return float(stats.binomtest(int((moved < 0).sum()), len(moved), 0.5).pvalue)
    return float(stats.wilcoxon(moved, method="auto").pvalue)


def _flaky(paired: pd.DataFrame) -> np.ndarray:
    result: np.ndarray = (
        (paired["baseline_low"] != paired["baseline_high"])
        | (paired["candidate_low"] != paired["candidate_high"])
    ).to_numpy() & _binary(paired)
    return result


def _binary(paired: pd.DataFrame) -> bool:
    edges = paired[["baseline_low", "baseline_high", "candidate_low", "candidate_high"]]
    return bool(np.isin(edges.to_numpy(dtype=float), (0.0, 1.0)).all())


def _resolved(paired: pd.DataFrame, flaky: np.ndarray, sign: float, *, best: bool) -> np.ndarray:
    """Gains with every flaky item at its best (or worst) outcome for the candidate."""
    candidate = paired["candidate_high" if best == (sign > 0) else "candidate_low"]
    baseline = paired["baseline_low" if best == (sign > 0) else "baseline_high"]
    plain = sign * (paired["candidate"] - paired["baseline"])
    result: np.ndarray = np.where(flaky, sign * (candidate - baseline), plain).astype(float)
    return result


def _needed(gain: np.ndarray, low: float, margin: float) -> int | None:
    """About how many items would decide, if more of them were like these."""
    n, mean = len(gain), float(gain.mean())
    half, room = mean - low, abs(mean + margin)
    if not math.isfinite(half) or room <= 1e-9:
        return None
    return max(n + 1, math.ceil(n * (half / room) ** 2))
