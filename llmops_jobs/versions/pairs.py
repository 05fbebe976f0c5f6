"""Which two versions of a prompt or a model are compared on a night."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from llmops_jobs.versions.calls import STANDS_FOR, Calls
from llmops_jobs.versions.estimate import Arms, Slices

_SMALLEST_ARM = 30  # calls in the window
_SLICES = ("feature", "tenant")
_LARGEST = 12  # slices of a dimension, by calls

#: (requested model, model that answered) -> the first day on which it did.
FirstSeen = Mapping[tuple[str, str], date]


@dataclass(frozen=True)
class Pair:
    """A subject (`prompt:NAME` or `model:NAME`), two versions of it, and their calls."""

    subject: str
    baseline: str
    candidate: str
    calls: Calls
    arms: Arms
    side_by_side: float  # share of the candidate's days on which the baseline ran too


def pairs(calls: Calls, day: date, first_seen: FirstSeen) -> Iterator[Pair]:
    """The newest version of every subject that ran on `day`, against the one most used before it.

    The higher number is the newer prompt version; of a model, that which answered later for the
    first time. What is older than all that ran beside it is nobody's candidate.
    """
    for kind, subject, version in (
        ("prompt", "prompt_name", "prompt_version"),
        ("model", "request_model", "model"),
    ):
        for name, rows in _subjects(calls, kind, subject, version):
            sizes = _sizes(calls, version, rows, day)
            chosen = _chosen(kind, name, sizes, first_seen)
            if chosen is not None:
                yield _pair(calls, f"{kind}:{name}", version, rows, *chosen)


def _subjects(
    calls: Calls, kind: str, subject: str, version: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Every prompt or requested model by name, with the rows of its calls."""
    empty = calls.names.place("")
    usable = (calls[subject] != empty) & (calls[version] != empty)
    if kind == "model":
        # What failed was answered by no model: it carries the name that was asked for.
        usable &= calls["error"] == 0
    rows = np.flatnonzero(usable)
    codes = calls[subject][rows]
    rows = rows[np.argsort(codes, kind="stable")]
    found, starts = np.unique(calls[subject][rows], return_index=True)
    parts = zip(found, np.split(rows, starts[1:]), strict=True) if len(found) else ()
    yield from sorted((calls.text(code), part) for code, part in parts)


def _sizes(
    calls: Calls, version: str, rows: np.ndarray, day: date
) -> dict[str, tuple[int, bool, int]]:
    """Version -> calls, whether it ran on `day`, its first day in the window; large arms only."""
    codes, days, stand_for = calls[version][rows], calls["day"][rows], calls[STANDS_FOR][rows]
    found: dict[str, tuple[int, bool, int]] = {}
    for code in np.unique(codes):
        inside = codes == code
        of_version = days[inside]
        if len(of_version) >= _SMALLEST_ARM:
            ran = bool(of_version.max() == day.toordinal())
            found[calls.text(code)] = (round(stand_for[inside].sum()), ran, int(of_version.min()))
    return found


def _chosen(
    kind: str, name: str, sizes: Mapping[str, tuple[int, bool, int]], first_seen: FirstSeen
) -> tuple[str, str] | None:
    def age(version: str) -> tuple[int, ...]:
        if kind == "prompt":
            return (int(version),)
        known = first_seen.get((name, version))
        return (known.toordinal() if known else sizes[version][2],)

    # Of two models that answered from the first day on, the one that does less is on trial.
    order = sorted(sizes, key=lambda v: (age(v), -sizes[v][0], v))
    ran = [version for version in order if sizes[version][1]]
    if not ran:
        return None
    older = order[: order.index(ran[-1])]
    if not older:
        return None
    return max(older, key=lambda v: sizes[v][0]), ran[-1]


def _pair(
    calls: Calls, subject: str, version: str, rows: np.ndarray, baseline: str, candidate: str
) -> Pair:
    old, new = calls.names.place(baseline), calls.names.place(candidate)
    codes = calls[version][rows]
    rows = np.sort(rows[(codes == old) | (codes == new)])
    both = calls.take(rows)
    arm = (both[version] == new).astype(np.int64)
    stratum = both["feature"].astype(np.int64) << 32 | both["tenant"]
    candidate_days = np.unique(both["day"][arm == 1])
    shared = np.isin(candidate_days, both["day"][arm == 0]).mean()
    arms = Arms.of(arm, stratum, both["cluster"])
    return Pair(subject, baseline, candidate, _with_slowness(both, arm), arms, float(shared))


def _with_slowness(calls: Calls, arm: np.ndarray) -> Calls:
    """Adds the shares of calls slower than the baseline's own percentiles: means, where a quantile
    is not."""
    more = {}
    for metric, name in (("latency_s", "slower"), ("time_to_first_token_s", "first_token_slower")):
        value = calls[metric]
        known = np.isfinite(value)
        usual = known & (arm == 0)
        for p in (50, 95):
            limit = _quantile(value[usual], calls[STANDS_FOR][usual], p / 100)
            more[f"{name}_than_p{p}"] = np.where(known, value > limit, np.nan)
    return calls.having(**more)


def _quantile(value: np.ndarray, stands_for: np.ndarray, share: float) -> float:
    if not len(value):
        return np.nan
    if (stands_for == 1).all():
        return float(np.quantile(value, share))
    return float(np.quantile(value, share, weights=stands_for, method="inverted_cdf"))


def slices(pair: Pair) -> list[Slices]:
    """Everything, then the largest values of each slicing dimension, by name."""
    arms, calls = pair.arms, pair.calls
    found = [Slices.whole(arms)]
    # The first call of a stratum tells what stratum it is.
    first = np.unique(arms.stratum, return_index=True)[1]
    for dimension in _SLICES:
        codes, place = np.unique(calls[dimension], return_inverse=True)
        sizes = np.bincount(place, calls[STANDS_FOR])
        by_size = sorted((-size, calls.text(code)) for code, size in zip(codes, sizes, strict=True))
        named = [text for _, text in by_size if text]
        if len(named) < 2:
            continue
        names = tuple(sorted(named[:_LARGEST]))
        places = {calls.names.place(text): place for place, text in enumerate(names)}
        of_stratum = [places.get(code, len(names)) for code in calls[dimension][first].tolist()]
        labels = tuple(f"{dimension}={name}" for name in names)
        found.append(Slices.of(arms, labels, np.array(of_stratum, dtype=np.int64)))
    return found
