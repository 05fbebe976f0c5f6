"""Log lines for machines: one JSON object a line, with the run and step that it belongs to.

`LLMOPS_LOG_FORMAT=json` turns it on for the commands; `deploy/dagster.yaml` names the formatter for
what runs under Dagster. Dagster's own processes have `--log-format json`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from llmops_jobs.errors import ConfigError

FORMATS: Final = ("text", "json")
# Of Dagster's own figures about a record, those by which one looks for lines.
_OF_DAGSTER: Final = ("run_id", "job_name", "step_key", "asset_key", "partition")


class JsonFormatter(logging.Formatter):
    """time (UTC, ISO 8601), level, logger, message; run and step under Dagster; error with its
    stack trace as one string."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        meta = getattr(record, "dagster_meta", None)
        if isinstance(meta, Mapping):
            line |= {name: str(meta[name]) for name in _OF_DAGSTER if meta.get(name)}
            line["message"] = str(meta.get("orig_message") or line["message"])
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(environ: Mapping[str, str] = os.environ) -> None:
    """Sets up logging of a command: warnings as text, or with `json` from INFO on, on stderr.

    Raises ConfigError for another format.
    """
    wanted = environ.get("LLMOPS_LOG_FORMAT", "text")
    if wanted not in FORMATS:
        raise ConfigError(f"LLMOPS_LOG_FORMAT={wanted!r}: there are {' and '.join(FORMATS)}")
    if wanted == "json":
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        ours = logging.getLogger("llmops_jobs")
        ours.handlers, ours.propagate = [handler], False
        ours.setLevel(logging.INFO)
