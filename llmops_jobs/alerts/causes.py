"""One incident per cause: which firing findings of a day are the same trouble.

A slice explains another when enough of the other's mass (its errors, its dollars, its calls) lies
in the slice: everything lies in `total`, an outage of one provider holds most errors of the tenants
that use it. Within a topic the finding that explains most others becomes the root and the rest its
children; a narrow slice is preferred to the whole that it explains, so that the incident names
"provider=x" and not "everything". Then causes of different topics that began on the same day in
related slices are one (more tokens and the dearer calls that follow).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from llmops_jobs.alerts.findings import Finding
from llmops_jobs.alerts.marts import Marts
from llmops_jobs.alerts.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Share of a slice's mass from which another slice explains it.
EXPLAINS = 0.3
# The whole is explained by a slice only with most of its mass: else the fault is everywhere.
_EXPLAINS_ALL = 0.6
_WHOLE = 0.95  # a slice with so much of the traffic says no more than "everything"
_TOGETHER_DAYS = 1
# Topics that are never part of something of another topic.
ALONE = ("budget", "data")
RANK = {"info": 0, "warning": 1, "critical": 2}
# What is told of first when several kinds of trouble are one: the nearest to a cause.
_ORDER = (
    "data", "versions", "prices", "errors", "tokens", "judge", "quality", "speed", "drift",
    "feedback", "spend", "traffic", "budget",
)  # fmt: skip


@dataclass(frozen=True)
class Cause:
    root: Finding
    children: tuple[Finding, ...] = ()

    @property
    def members(self) -> tuple[Finding, ...]:
        return (self.root, *self.children)

    @property
    def severity(self) -> str:
        return max((f.severity for f in self.members), key=lambda s: RANK.get(s, 0))


class Overlap:
    """How much of one slice's mass lies in another, from one day's cells of usage_daily, which are
    read when they are first needed."""

    def __init__(self, cells: Callable[[], pd.DataFrame]) -> None:
        self._read = cells
        self._masks: dict[tuple[tuple[str, str], ...], np.ndarray] = {}

    @classmethod
    def of_day(cls, marts: Marts, day: date) -> Overlap:
        return cls(lambda: marts.cells(day))

    @functools.cached_property
    def _cells(self) -> pd.DataFrame:
        return self._read()

    def share(self, inner: dict[str, str], outer: dict[str, str], mass: str) -> float:
        """Share of `inner`'s mass that lies in `outer`; 1 for a slice within it."""
        if outer.items() <= inner.items():
            return 1.0
        if not len(self._cells):
            return 0.0
        weight = self._cells[mass if mass in self._cells else "requests"].to_numpy()
        inside = self._mask(inner)
        whole = float(weight[inside].sum())
        return float(weight[inside & self._mask(outer)].sum()) / whole if whole > 0 else 0.0

    def _mask(self, slice_: dict[str, str]) -> np.ndarray:
        import numpy as np

        key = tuple(sorted(slice_.items()))
        if key not in self._masks:
            mask = np.ones(len(self._cells), dtype=bool)
            for name, value in key:
                mask &= (
                    (self._cells[name].astype(str) == value).to_numpy()
                    if name in self._cells
                    else False
                )
            self._masks[key] = mask
        return self._masks[key]


def causes(
    findings: Sequence[Finding],
    overlap: Overlap,
    day: date,
    begun: Mapping[str, date] | None = None,
) -> list[Cause]:
    """The firing findings as causes, the gravest first.

    begun: first day of the live incident that a finding (by fingerprint) is part of.
    """
    since = {f.fingerprint: (begun or {}).get(f.fingerprint) or f.onset or day for f in findings}
    firing = [finding for finding in findings if finding.firing]
    found: list[Cause] = []
    for topic in sorted({finding.topic for finding in firing}):
        found += _within(topic, [f for f in firing if f.topic == topic], overlap)
    return sorted(_across(found, overlap, since), key=lambda c: -RANK.get(c.severity, 0))


def _within(topic: str, findings: list[Finding], overlap: Overlap) -> list[Cause]:
    if topic == "budget":  # each has its own owner
        return [Cause(finding) for finding in findings]
    left = list(findings)
    found = []
    while left:
        explained = {
            id(f): [g for g in left if g is not f and _explains(f, g, overlap)] for f in left
        }
        wholes = [f for f in left if not f.slice]
        narrow = [
            f
            for f in left
            if f.slice and not (wholes and overlap.share({}, f.slice, "requests") >= _WHOLE)
        ]
        # A slice may speak for the whole; the whole speaks for itself only when none does.
        able = [f for f in narrow if all(w in explained[id(f)] for w in wholes)] or wholes or left
        root = max(
            able, key=lambda f: (len(explained[id(f)]), f.novel, _strength(f), f.fingerprint)
        )
        children = explained[id(root)]
        found.append(Cause(root, tuple(children)))
        left = [f for f in left if f is not root and f not in children]
    return found


def _explains(one: Finding, other: Finding, overlap: Overlap) -> bool:
    if one.aspect != other.aspect:
        return False
    needed = _EXPLAINS_ALL if not other.slice else EXPLAINS
    return related(other, one, overlap) >= needed


def related(inner: Finding, outer: Finding, overlap: Overlap) -> float:
    """Share of one finding's mass in the other's slice."""
    metric = METRICS.get(str(inner.detail.get("metric", "")))
    return overlap.share(inner.slice, outer.slice, metric.mass if metric else "requests")


def _strength(finding: Finding) -> float:
    """How far beyond what is usual: ranks slices of one metric."""
    usual = finding.detail.get("usual") or finding.threshold
    if finding.value is None or not usual:
        return 0.0
    return abs(finding.value - usual) / abs(usual)


def _across(found: list[Cause], overlap: Overlap, since: Mapping[str, date]) -> list[Cause]:
    merged: list[Cause] = []
    for cause in sorted(found, key=lambda c: _order(c.root)):
        for index, other in enumerate(merged):
            if _same(cause, other, overlap, since):
                merged[index] = replace(other, children=(*other.children, *cause.members))
                break
        else:
            merged.append(cause)
    return merged


def _order(finding: Finding) -> int:
    return _ORDER.index(finding.topic) if finding.topic in _ORDER else len(_ORDER)


def _same(one: Cause, other: Cause, overlap: Overlap, since: Mapping[str, date]) -> bool:
    begun = since[one.root.fingerprint] - since[other.root.fingerprint]
    return abs(begun.days) <= _TOGETHER_DAYS and alike(one.root, other.root, overlap)


def alike(one: Finding, other: Finding, overlap: Overlap) -> bool:
    """Whether two findings of any topic can be one trouble: they are about related slices. A judge
    that changed its mind explains what it says of the answers, and nothing else."""
    topics = {one.topic, other.topic}
    if topics & set(ALONE) or ("judge" in topics and one.aspect != other.aspect):
        return False
    return max(related(one, other, overlap), related(other, one, overlap)) >= EXPLAINS
