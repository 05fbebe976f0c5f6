"""The JSON Schema of `report.json`, as it is published in the docs.

python -m llmops_jobs.report.schema > docs/report.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from llmops_jobs.report.model import SCHEMA_VERSION, ReportModel


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    made = ReportModel.model_json_schema(mode="validation")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"llmops-jobs report, version {SCHEMA_VERSION}",
    }
    return head | {key: value for key, value in made.items() if key != "title"}


def text() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(text(), end="")
