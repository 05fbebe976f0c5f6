"""A finding: what one rule says about one slice on one day."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from llmops_jobs.dimensions import DIMENSIONS


@dataclass(frozen=True)
class Finding:
    """`firing` False means the rule looked and was content; no finding means it did not look.

    `holding` keeps an open incident open though it would not open one: the value is back inside
    its interval but not back over the bound. `onset` is the day on which the trouble began, where
    a rule sees it later; `topic` is the kind of trouble (errors, speed, spend, …); `novel` says
    that it names something new, which speaks first among findings that explain as much.
    """

    rule: str
    labels: Mapping[str, str]
    firing: bool
    severity: str
    summary: str
    topic: str = ""
    holding: bool = False
    novel: bool = False
    onset: date | None = None
    value: float | None = None
    threshold: float | None = None
    n: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    runbook: str = ""
    channels: tuple[str, ...] | None = None
    for_days: int = 1
    clear_days: int = 1
    cooldown_days: int = 0

    @functools.cached_property
    def fingerprint(self) -> str:
        """Identity of the incident: the rule and its slice, never values or wording."""
        key = json.dumps([self.rule, sorted(self.labels.items())], separators=(",", ":"))
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    @property
    def slice(self) -> dict[str, str]:
        """The dimensions that the finding is about; {} is everything. A `scope` in `detail` is
        where it was seen, without being part of its identity."""
        found = {name: value for name, value in self.labels.items() if name in DIMENSIONS}
        scope = self.labels.get("scope") or self.detail.get("scope") or "total"
        return found | slice_of(scope)

    @property
    def aspect(self) -> str:
        """What of a topic it is about, where a topic has several: the quality metric."""
        return self.labels.get("quality") or self.labels.get("metric", "").partition(":")[2]


def slice_of(scope: str) -> dict[str, str]:
    """`total`, `dimension=value` or `prompt=NAME@VERSION` as dimensions."""
    name, _, value = scope.partition("=")
    if name == "prompt":
        prompt, _, version = value.rpartition("@")
        return {"prompt_name": prompt, "prompt_version": version}
    return {name: value} if name in DIMENSIONS else {}


@dataclass
class Night:
    """What all rules said about one day.

    `content` names the rules that looked and whose absent findings mean all is well; a slice that
    another rule does not speak of has no data.
    """

    day: date
    findings: list[Finding] = field(default_factory=list)
    content: set[str] = field(default_factory=set)
