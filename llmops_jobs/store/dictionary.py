"""The dictionary of the database: every table and column with its meaning and unit, for the docs.

python -m llmops_jobs.store.dictionary > docs/tables.md
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from llmops_jobs.store import tables

_STAGES = {
    "ingest": "What was copied",
    "ledger": "Money",
    "signals": "Speed, reliability, feedback",
    "evals": "Quality",
    "forecast": "Forecasts and budgets",
    "versions": "Versions",
    "alerts": "Incidents",
    "report": "Reports",
}
_HEAD = """# Tables

Every table of the database. A key column is part of the primary key. Days are UTC days of the
start time; money is US dollars; instants are UTC. A dimension that is missing is the empty string.
This page is generated from the tables: `python -m llmops_jobs.store.dictionary > docs/tables.md`.
"""


def markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    for stage, title in _STAGES.items():
        module = getattr(tables, stage)
        found = [value for value in vars(module).values() if isinstance(value, sa.Table)]
        parts.append(f"## {title}\n")
        parts += [_table(table) for table in found]
    return "\n".join(parts)


def _table(table: sa.Table) -> str:
    lines = [f"### `{table.name}`", "", f"{_sentence(table.comment)}", ""]
    lines += ["| column | type | key | meaning |", "|---|---|---|---|"]
    dialect = postgresql.dialect()
    for column in table.columns:
        kind = column.type.compile(dialect=dialect).lower()
        key = "yes" if column.primary_key else ""
        meaning = (column.comment or "").replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{column.name}` | {kind} | {key} | {meaning} |")
    return "\n".join(lines) + "\n"


def _sentence(comment: str | None) -> str:
    text = comment or ""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


if __name__ == "__main__":
    print(markdown(), end="")
