"""Times on the wire: ISO 8601 in UTC with milliseconds, which compare as text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

# The pattern that the server itself quotes when it refuses a time.
ZOD_DATETIME = (
    r"/^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|"
    r"\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|"
    r"(?:02)-(?:0[1-9]|1\d|2[0-8])))T(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
    r"(?:Z|([+-](?:[01]\d|2[0-3]):[0-5]\d)))$/"
)
_STRICT = re.compile(ZOD_DATETIME[1:-1])


def instant(text: str) -> datetime:
    """A time on the wire as an aware datetime in UTC."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def iso(moment: datetime) -> str:
    """`2026-11-24T04:26:24.023Z`; microseconds are cut as the server cuts them."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{moment.microsecond // 1000:03d}Z"
    )


def strict(text: str) -> str | None:
    """The time in wire form, None unless it is a full date and time with an offset."""
    if not _STRICT.match(text):
        return None
    try:
        return iso(instant(text))
    except (ValueError, OverflowError):
        return None


def lenient(text: str) -> str | None:
    """The time in wire form from what JavaScript's Date would take: a date alone is midnight."""
    try:
        return iso(instant(text))
    except (ValueError, OverflowError):
        return None


def day_of(text: str) -> date:
    return date.fromisoformat(text[:10])


def now() -> str:
    return iso(datetime.now(UTC))


def later(text: str, seconds: float) -> str:
    return iso(instant(text) + timedelta(seconds=seconds))
