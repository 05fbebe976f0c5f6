"""Versions by content: what a scorer's result depends on, hashed."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def content_version(content: Any, length: int = 12) -> str:
    """A short hash of anything JSON can hold, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
