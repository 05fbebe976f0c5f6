"""How numbers and names are written: one format per unit, and names from traces made harmless.

Every face shows the texts made here, so a number is written the same everywhere and a test can
form each text again from its value.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from llmops_jobs.dimensions import NONE_LABEL

MINUS: Final = "−"
NAME_LIMIT: Final = 80

# Terminal sequences, then every control and every mark that reorders or hides text.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|.)?", re.DOTALL
)
_HIDDEN = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\ufff0-\ufffb\U000e0000-\U000e007f]"
)
_SPACE = re.compile(r"\s+")


def clean(name: Any, limit: int = NAME_LIMIT) -> str:
    """A name or message out of traces as one short line of visible text.

    Control characters, terminal sequences, bidi controls and invisible marks are dropped, white
    space is folded, and the middle of an overlong text gives way to an ellipsis (both ends of a
    model's or prompt's name tell versions apart). Emoji joiners and combining marks stay, but not
    more than four marks a letter. Escaping for HTML or Markdown is the face's work.
    """
    text = "" if name is None else str(name)
    text = unicodedata.normalize("NFC", text[: limit * 20])
    text = _HIDDEN.sub("", _ANSI.sub("", text))
    text = "".join(_visible(text))
    text = _SPACE.sub(" ", text).strip()
    if not text:
        return NONE_LABEL
    if len(text) > limit:
        tail = limit // 3
        text = f"{text[: limit - tail - 1].rstrip()}…{text[-tail:].lstrip()}"
    return text


def _visible(text: str) -> list[str]:
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > 4 or category in ("Cs", "Co", "Cn"):
            continue
        kept.append(" " if category in ("Cc", "Zl", "Zp") else character)
    return kept


def _usd(value: float) -> str:
    size = abs(value)
    if size >= 999_500:
        body = f"${size / 1e6:,.2f}M"
    elif size >= 9_999.5:
        body = f"${size / 1e3:,.1f}k"
    elif size >= 999.5:
        body = f"${size:,.0f}"
    elif size >= 0.995 or size == 0:
        body = f"${size:.2f}"
    elif size >= 0.00995:
        body = f"${size:.3f}"
    else:
        body = f"${size:.2g}" if size >= 0.0001 else f"${size:.1e}"
    return _negative(value, body)


def _count(value: float) -> str:
    size = abs(value)
    if size >= 999_500:
        body = f"{size / 1e6:,.2f}M"
    elif size >= 99_950:
        body = f"{size / 1e3:,.0f}k"
    else:
        body = f"{size:,.0f}"
    return _negative(value, body)


def _ratio(value: float) -> str:
    size = abs(value) * 100
    if size == 0:
        body = "0%"
    elif size < 0.01:
        body = "<0.01%"
    elif size < 0.995:
        body = f"{size:.2f}%"
    elif 99.95 <= size < 100:
        body = f"{math.floor(size * 100) / 100:.2f}%"
    else:
        body = f"{size:.1f}%"
    return _negative(value, body)


def _relative(value: float) -> str:
    """A relative change: 0.184 is +18.4 %; past +900 % as a multiple."""
    if value >= 9:
        return f"×{value + 1:.0f}"
    size = abs(value) * 100
    return _signed(value, f"{size:.1f}%" if size < 99.95 else f"{size:.0f}%")


def _points(value: float) -> str:
    size = abs(value) * 100
    return _signed(value, f"{size:.2f} pp" if size < 0.995 else f"{size:.1f} pp")


def _seconds(value: float) -> str:
    size = abs(value)
    if size < 0.0995:
        body = f"{size * 1e3:.1f} ms"
    elif size < 0.9995:
        body = f"{size * 1e3:.0f} ms"
    elif size < 9.95:
        body = f"{size:.2f} s"
    elif size < 119.5:
        body = f"{size:.1f} s"
    else:
        body = f"{size / 60:.1f} min"
    return _negative(value, body)


def _number(value: float) -> str:
    size = abs(value)
    if size >= 99.5:
        body = f"{size:,.0f}"
    elif size >= 9.95:
        body = f"{size:.1f}"
    else:
        body = f"{size:.2f}"
    return _negative(value, body)


def _date(value: Any) -> str:
    day = date.fromisoformat(str(value))
    return f"{day.day} {day:%b} {day.year}"


def _negative(value: float, body: str) -> str:
    return f"{MINUS}{body}" if value < 0 else body


def _signed(value: float, body: str) -> str:
    if not re.search("[1-9]", body):
        return f"±{body}"
    return f"{MINUS}{body}" if value < 0 else f"+{body}"


FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    "usd": _usd,
    "usd_change": lambda value: _signed(value, _usd(abs(value))),
    "count": _count,
    "count_change": lambda value: _signed(value, _count(abs(value))),
    "ratio": _ratio,
    "share": lambda value: f"{value * 100:.0f}%",
    "relative": _relative,
    "points": _points,
    "seconds": _seconds,
    "seconds_change": lambda value: _signed(value, _seconds(abs(value))),
    "per_second": lambda value: f"{_number(value)}/s",
    "number": _number,
    "number_change": lambda value: _signed(value, _number(abs(value))),
    "date": _date,
    "day": lambda value: _date(value).rsplit(" ", 1)[0],
    "text": str,
}


def write(value: Any, unit: str) -> str:
    """The text of a value, or a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return FORMATS[unit](value)


def tidy(value: Any) -> Any:
    """A number as it is published: nine significant digits, whole numbers whole, NaN as None."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, date):
        return value.isoformat()
    number = float(value)
    if not math.isfinite(number):
        return None
    if number == int(number) and abs(number) < 1e15:
        return int(number)
    return float(f"{number:.9g}")
