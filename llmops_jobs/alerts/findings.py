"""A finding: what one rule says about one slice on one day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """`firing` False means the rule looked and was content; no finding means it did not look."""

    rule: str
    labels: Mapping[str, str]
    firing: bool
    severity: str
    summary: str
    value: float | None = None
    threshold: float | None = None
    n: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    runbook: str = ""
    channels: tuple[str, ...] | None = None
    for_days: int = 1
    clear_days: int = 1

    @property
    def fingerprint(self) -> str:
        """Identity of the incident: the rule and its slice, never values or wording."""
        key = json.dumps([self.rule, sorted(self.labels.items())], separators=(",", ":"))
        return hashlib.sha256(key.encode()).hexdigest()[:16]
