"""Everything one running stand-in knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.columns import Columns
from llmops_jobs.demo.server.days import Days
from llmops_jobs.demo.server.faults import Faults
from llmops_jobs.demo.server.filters import Predicate
from llmops_jobs.demo.server.limits import Limits
from llmops_jobs.demo.server.overlay import Overlay
from llmops_jobs.demo.server.source import Source
from llmops_jobs.demo.server.spill import Spill

# "v3": a v3 server, whose v2/observations answers 404 in JSON. "ancient": a v3 server from before
# that route, whose 404 is an HTML page. "legacy_writes": a v4 server that still writes as v3 did.
Mode = Literal["events_only", "v3", "ancient", "legacy_writes"]

PUBLIC_KEY = "pk-lf-standin"
SECRET_KEY = "sk-lf-standin"


@dataclass
class State:
    source: Source
    version: str = "4.16.0"
    mode: Mode = "events_only"
    public_key: str = PUBLIC_KEY
    secret_key: str = SECRET_KEY
    clock: str | None = None  # rows created later are not there yet; None = all are
    write_delay_seconds: float = 0  # until a score that was acknowledged can be read
    protected_labels: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    # Small configuration data by kind, newest first: prompts, models, score-configs, …
    things: dict[str, list[Row]] = field(default_factory=dict)
    spans: list[Any] = field(default_factory=list)  # OTLP requests, as they came in
    requests: list[str] = field(default_factory=list)  # "GET /api/public/…?…", in order
    keep_days: int = 4
    spill: Spill | None = None

    def __post_init__(self) -> None:
        self.overlay = Overlay()
        self.days = Days(self.source, self.overlay, self.keep_days, self.spill)
        self.columns = Columns(self.days)

    @property
    def project_id(self) -> str:
        return self.source.project_id

    @property
    def takes_score_arrays(self) -> bool:
        """From 4.59 on `POST /scores` takes a list; before, one object."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        return found is not None and (int(found[1]), int(found[2])) >= (4, 59)

    def visible(self, kind: str) -> list[Predicate]:
        """Predicates that hide what is not there yet, or no longer."""
        predicates: list[Predicate] = []
        if self.clock is not None:
            clock = self.clock
            predicates.append(lambda row: row["createdAt"] <= clock)
        if kind == "observations" and self.overlay.deleted_traces:
            gone = self.overlay.deleted_traces
            predicates.append(lambda row: row["traceId"] not in gone)
        if kind == "scores" and self.write_delay_seconds:
            waiting = self.overlay.not_yet_readable(self.write_delay_seconds)
            predicates.append(lambda row: row["id"] not in waiting)
        return predicates
