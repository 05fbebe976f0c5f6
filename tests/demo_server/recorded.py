"""The recorded pairs, and rows made of them to load the stand-in with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def pairs(folder: Path) -> dict[str, Row]:
    """Every recorded request with its answer, by name."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return {name: pair for name, pair in found.items() if "request" in pair}


def rows_in(recorded: dict[str, Row], key: str) -> list[Row]:
    """The complete observations (key startTime) or scores (key timestamp) that the answers show."""
    merged: dict[str, Row] = {}
    for name, pair in recorded.items():
        if not name.startswith(("observations-v2", "err-observations-v2", "scores-v3")):
            continue
        data = pair["body"].get("data", []) if isinstance(pair["body"], dict) else []
        for row in data:
            if isinstance(row, dict) and key in row:
                held = merged.get(row["id"], {})
                whole, part = sorted((held, row), key=len, reverse=True)
                merged[row["id"]] = {**part, **whole}  # the one with more groups knows better
    return list(merged.values())


def shape(value: Any) -> Any:
    """Keys and types all the way down. Lists become the set of their elements' shapes; the
    recorder's own abbreviations ("... 97 more") are left out."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        kept = [item for item in value if not is_abbreviation(item)]
        return sorted({json.dumps(shape(item), sort_keys=True) for item in kept})
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "string"


def is_abbreviation(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\.\.\. \d+ more", value))
