"""What the checks of the group `quality` ask of the marts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa

from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES


def broken_scorers(database: Database, days: Sequence[date]) -> list[str]:
    """One line per scorer with rows that ended in an error, the worst first."""
    score = TABLES["score"].c
    query = (
        sa.select(score.scorer, sa.func.count().label("n"), sa.func.min(score.reason))
        .where(score.day.in_(list(days)), score.status == "error")
        .group_by(score.scorer)
        .order_by(sa.desc("n"))
    )
    with database.engine.connect() as connection:
        return [f"{name}: {n} errors ({reason})" for name, n, reason in connection.execute(query)]
