"""Misbehaviour on demand: which fault strikes which request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

# Answers instead of the handler's.
REPLACE = (
    "unauthorized", "forbidden", "old_server", "timeout_422", "rate_limited", "server_error",
    "bad_gateway", "unavailable", "html_page", "dropped_connection",
)  # fmt: skip
# The handler's answer, cut or sent badly.
DAMAGE = ("truncated_gzip", "half_page", "cut_json", "slow_drip")
# The handler's page with another cursor.
CURSOR = ("repeated_cursor", "looping_cursor")
# The handler's page with other rows.
ROWS = (
    "rows_behind", "rows_ahead", "duplicates", "nulls", "empty_strings", "epoch_zero", "year_2200",
    "huge_input", "unicode", "nan_tokens", "negative_tokens", "unknown_enums", "unknown_fields",
)  # fmt: skip
# Acknowledged as if it had been done.
LOST = ("lost_write",)
KINDS = (*REPLACE, *DAMAGE, *CURSOR, *ROWS, *LOST)


@dataclass
class Fault:
    """kind: one of KINDS. Strikes the `first`th to the `last`th request (counted from 1; last
    None = for ever) whose method and path (with its query) match. `every`: which rows of a page
    are spoiled, 5 = the first, the sixth, … `seconds`: how long to wait (rate_limited: in its
    header; slow_drip: in all)."""

    kind: str
    path: str = ""  # by default v2/observations, or every write for a lost_write
    method: str = ""
    first: int = 1
    last: int | None = None
    every: int = 5
    seconds: float = 60
    seen: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are: {', '.join(KINDS)}")
        writes = self.kind in LOST
        self.method = self.method or ("POST" if writes else "GET")
        self.path = self.path or ("/api/public/" if writes else "/api/public/v2/observations")

    def matches(self, method: str, url: str) -> bool:
        return self.path in url and self.method in ("*", method)

    def strikes(self, method: str, url: str) -> bool:
        """Counts the request if it matches."""
        if not self.matches(method, url):
            return False
        self.seen += 1
        if self.seen < self.first or (self.last is not None and self.seen > self.last):
            return False
        self.struck += 1
        return True


@dataclass
class Faults:
    """The faults in force. Several may strike one request, in their order."""

    active: list[Fault] = field(default_factory=list)

    def set(self, faults: Iterable[Fault | dict[str, Any] | str]) -> None:
        """Replaces all: Fault objects, their fields as dicts, or just kinds."""
        self.active = [_fault(fault) for fault in faults]

    def clear(self) -> None:
        self.active = []

    def striking(self, method: str, url: str) -> list[Fault]:
        return [fault for fault in self.active if fault.strikes(method, url)]

    def watching(self, method: str, url: str) -> bool:
        """Whether a fault may need to know this page when it strikes the next one."""
        return any(f.kind in (*CURSOR, *ROWS) and f.matches(method, url) for f in self.active)

    def described(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.active]


def _fault(given: Fault | dict[str, Any] | str) -> Fault:
    if isinstance(given, Fault):
        return given
    return Fault(given) if isinstance(given, str) else Fault(**given)
