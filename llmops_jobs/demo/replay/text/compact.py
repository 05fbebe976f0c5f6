"""JSON text, written fast."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any) -> str:
    """Compact JSON; the characters of other scripts stay as they are."""
    return orjson.dumps(value).decode()
